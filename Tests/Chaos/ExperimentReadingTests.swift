import ChaosEngine
import ChaosService
import KernelJSON
import KernelStructures
import TestSupport
import Testing

@Suite("Experiments as files")
struct ExperimentReadingTests {
    @Test("other people's experiments load, and their steps of Python are known as such")
    func vectors() throws {
        guard ChaosVectors.areThere else {
            print("skipped: shared/vectors/chaos is missing")
            return
        }
        guard case .array(let entries) = try ChaosVectors.json("experiments.json") else {
            Issue.record("a list is expected")
            return
        }
        #expect(entries.count == 8)
        for entry in entries {
            let one = try ChaosExperiment(try #require(entry["experiment"]), environment: { _ in "x" })
            #expect(!one.title.isEmpty)
            #expect(one.method.count >= 0)
            for activity in one.method + one.rollbacks {
                if case .python(let module, _) = activity.provider { #expect(!module.isEmpty) }
            }
        }
        // A reference means the probe of the hypothesis, and a secret is put where it belongs.
        let fabric = try ChaosExperiment(try #require(entries[3]["experiment"]))
        #expect(fabric.method.map(\.name)[1] == "application-must-respond")
        #expect(fabric.method[0].pauseAfter == .seconds(30))
        let astre = try ChaosExperiment(try #require(entries[5]["experiment"]))
        guard case .http(let plan)? = astre.hypothesis?.probes[0].provider else {
            Issue.record("no request")
            return
        }
        #expect(plan.headers.map(\.value) == ["Basic XYZ"])
        #expect(astre.method[0].isBackground)
    }

    @Test("configuration comes from the environment, with types and defaults")
    func environment() throws {
        if ChaosVectors.areThere {
            var document = try ChaosVectors.json("env_vars_issue252.json")
            guard case .object(let members) = document else {
                Issue.record("an object is expected")
                return
            }
            document = .object(
                members + [("title", "t"), ("method", []), ("steady-state-hypothesis", Self.hypothesis)])
            _ = try ChaosExperiment(document, environment: { $0 == "PWD" ? "/" : nil })
        }
        let text = """
            {"title": "t", "description": "d", "configuration": {
              "port": {"type": "env", "key": "PORT", "default": "80", "env_var_type": "int"},
              "host": {"type": "env", "key": "HOST", "default": "api"}},
             "method": [{"type": "probe", "name": "p", "tolerance": "${port}",
               "provider": {"type": "http", "url": "http://${host}:${port}/"}}]}
            """
        let one = try ChaosExperiment(
            parsing: Array(text.utf8), file: "e", environment: { $0 == "PORT" ? "8080" : nil })
        guard case .http(let plan) = one.method[0].provider else {
            Issue.record("no request")
            return
        }
        #expect(plan.url == "http://api:8080/")
        guard case .scalar(.integer(8080))? = one.method[0].tolerance else {
            Issue.record("no number")
            return
        }
        let other = try ChaosExperiment(
            parsing: Array(text.utf8), file: "e", variables: [("host", "web")], environment: { _ in nil })
        guard case .http(let second) = other.method[0].provider else {
            Issue.record("no request")
            return
        }
        #expect(second.url == "http://web:80/")
    }

    private static let hypothesis: JSONValue = [
        "title": "h",
        "probes": [
            ["type": "probe", "name": "p", "tolerance": 200, "provider": ["type": "http", "url": "http://a/"]]
        ],
    ]

    @Test("references that refer to references do not fill the memory")
    func bomb() throws {
        var members: [(key: String, value: JSONValue)] = [("a0", .string(String(repeating: "x", count: 1000)))]
        for level in 1...40 {
            let text = String(repeating: "${a\(level - 1)}", count: 100)
            members.append(("a\(level)", .string(text)))
        }
        let document: JSONValue = .object([
            ("title", "t"), ("configuration", .object(members)),
            ("method", .array([.string(String(repeating: "${a40}", count: 10_000))])),
        ])
        #expect(throws: ExperimentError.self) { try ChaosExperiment(document) }
    }

    @Test("the documented form is the Toolkit's in short")
    func short() throws {
        let one = try experiment(documentedExperiment)
        #expect(one.isShortForm)
        #expect(one.title == "API resilience test")
        #expect(one.hypothesisStrategy == .continuously)
        #expect(one.method[0].pauseAfter == .seconds(60))
        guard case .lab(.inject(let words, let target, let lasts, _)) = one.method[0].provider else {
            Issue.record("no fault")
            return
        }
        #expect(words == ["latency", "2000ms"])
        #expect(target == "payment-service")
        #expect(lasts == .seconds(60))
        // What was translated reads the same.
        let again = try ChaosExperiment(one.document)
        #expect(again.document == one.document)
        #expect(again.method.count == 1 && again.rollbacks.count == 1)
    }

    @Test(
        "what is wrong is said, with its place",
        arguments: [
            ("experiment:\n", "the experiment is empty"),
            ("experiment: {name: t}", "e.yaml:1:13: an experiment requires a method"),
            ("experiment: {method: []}", "e.yaml:1:13: an experiment requires a name"),
            ("experiment:\n  name: t\n  methd: []\n", "unknown key 'methd' in an experiment; did you mean method?"),
            ("experiment: {name: t, method: [{action: network-latncy, target: a}]}", "did you mean network-latency?"),
            ("experiment: {name: t, method: [{action: network-latency, target: a}]}", "requires latency:"),
            (
                "experiment: {name: t, steady_state: [{probe: http, url: 'a', expect: status = = 2}], method: []}",
                "expect: "
            ),
            ("{\"title\": \"t\"}", "an experiment requires a method"),
            ("{\"method\": []}", "an experiment requires a title"),
            ("{\"title\": \"t\", \"method\": [{}]}", "an activity requires a type"),
            ("{\"title\": \"t\", \"method\": [{\"type\": \"probe\"}]}", "an activity requires a name"),
            ("{\"title\": \"t\", \"method\": [{\"ref\": \"x\"}]}", "no activity before it is called 'x'"),
            (
                #"{"title": "t", "method": [{"type": "probe", "name": "n", "provider": {"type": "smtp"}}]}"#,
                "method[0].provider.type: 'smtp' is no provider"
            ), ("{\"title\": ", "e.yaml:1:"), ("[1, 2", "e.yaml:"),
            ("{\"title\": \"t\", \"method\": []}", "there is nothing to do"),
        ])
    func errors(_ text: String, _ expected: String) throws {
        let error = #expect(throws: ExperimentError.self) { try experiment(text) }
        #expect(error?.description.contains(expected) ?? false, "\(error?.description ?? "")")
    }

    @Test("every action of the short form is one that the lab can do")
    func actions() throws {
        for name in FaultAction.names {
            let text = """
                experiment:
                  name: t
                  method:
                    - {action: \(name), target: a, latency: 1s, loss: 1%, share: 10, rate: 64KB/s, status: 503, by: 1h}
                """
            let one = try experiment(text)
            guard case .lab(let action) = one.method[0].provider else {
                Issue.record("\(name) is no action")
                return
            }
            // Its document says the same.
            let members = try #require(one.method[0].document["provider"])
            #expect(try LabAction(JSONCursor(members)) == action)
        }
    }

    @Test("bytes of every kind are an experiment or an error, and what is an experiment is one again")
    func fuzz() throws {
        var random = SeededRandom(seed: 15)
        let seeds = [Array(documentedExperiment.utf8), Array("{\"title\": \"t\", \"method\": []}".utf8)]
        var read = 0
        for _ in 0..<400 {
            var bytes = seeds[random.below(2)]
            for _ in 0...random.below(4) {
                let place = random.below(bytes.count)
                switch random.below(3) {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: place)
                default: bytes.insert(contentsOf: Array(bytes[..<min(20, bytes.count)]), at: place)
                }
                if bytes.isEmpty { bytes = [32] }
            }
            guard let one = try? ChaosExperiment(parsing: bytes, file: "f") else { continue }
            read += 1
            let again = try ChaosExperiment(JSONValue(parsing: one.document.bytes()))
            #expect(again.method.count == one.method.count)
            #expect(again.title == one.title)
        }
        #expect(read > 10)
    }

    @Test(
        "a value of an action that is none is said with its line",
        arguments: [
            ("action: network-latency, target: a, latency: soon, duration: 1s", "5:53: latency: 'soon' is not a time"),
            ("action: network-loss, target: a, loss: 200, duration: 1s", "loss: '200%' is not a percentage"),
            ("action: cpu-hog, target: a, percent: x", "share: 'x%' is not a percentage"),
            ("action: network-throttle, target: a, rate: fast", "rate: 'fast' is not a rate such as 64KB/s"),
            ("action: http-failure, target: a, status: 99", "status: '99' is not a status of HTTP"),
            ("action: disk-sync-failure, target: a, count: many", "count: 'many' is not a number of times"),
            ("action: network-loss, target: a, loss: 5, duration: 4000d", "5:60: 4000d is longer than"),
            ("action: network-loss, target: a, loss: 5, wait: soon", "wait must be a duration"),
        ])
    func values(_ action: String, _ problem: String) {
        let text = "experiment:\n  name: t\n\n  method:\n    - {\(action)}\n"
        do {
            _ = try experiment(text)
            Issue.record("\(action) was taken")
        } catch {
            #expect("\(error)".contains(problem), "\(error)")
        }
    }

    @Test("faults in the Toolkit's format are checked by their grammar, whoever their target is")
    func grammar() throws {
        func problem(_ text: String) throws -> String? {
            let one = try experiment(
                #"{"title": "t", "method": [{"type": "action", "name": "a", "provider": {"type": "lab", \#(text)}}]}"#)
            guard case .lab(let action) = one.method[0].provider else { return "no fault" }
            return FaultDesk.problem(with: action)
        }
        #expect(try problem(#""inject": "latency 2s", "target": "nobody-*""#) == nil)
        #expect(try problem(#""inject": "latency 2s", "target": "a->b", "for": 3"#) == nil)
        #expect(
            try problem(#""inject": "latency soon", "target": "a""#)
                == "'soon' is not a delay such as 200ms or 200ms±50ms")
        #expect(try problem(#""inject": "meteor", "target": "a""#)?.hasPrefix("unknown fault 'meteor'") ?? false)
        #expect(try problem(#""signal": "KILL", "target": "a""#) == nil)
    }

    @Test("each request of a probe may have a key of its own; the Toolkit cannot")
    func keys() throws {
        let text = """
            experiment:
              name: t
              steady_state:
                - probe: http
                  url: http://api/checkout
                  method: POST
                  headers: {Content-Type: application/json}
                  body: {items: [1]}
                  key: probe
                  expect: status == 200
              method: []
            """
        let one = try experiment(text)
        guard case .http(let plan)? = one.hypothesis?.probes[0].provider else { throw TestTrouble() }
        #expect(plan.keyPrefix == "probe" && plan.method == "POST" && plan.body == Array(#"{"items": [1]}"#.utf8))
        let export = ToolkitExport(one, api: "http://localhost:8474")
        #expect(!export.document.text.contains("idempotency_key"))
        #expect(export.losses == ["Idempotency-Key of its own for each request"])
        #expect(throws: ExperimentError.self) {
            try experiment(text.replacing("key: probe", with: "key: 'a b'"))
        }
    }

    private struct TestTrouble: Error {}
}
