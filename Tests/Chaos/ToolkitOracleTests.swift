import ChaosEngine
import KernelJSON
import KernelStructures
import TestSupport
import Testing

/// The Chaos Toolkit's own judge beside this one.
@Suite(.enabled(if: TestPython.canRun)) struct ToolkitOracleTests {
    private static let outputs: [Observation] = [
        Observation(
            .http(
                status: 200, reason: "OK", headers: [("Content-Type", "application/json")],
                body: Array(#"{"a": [1, 2, {"b": "x"}], "n": 7, "t": "hello"}"#.utf8))),
        Observation(.http(status: 404, reason: "", headers: [], body: Array("nothing here".utf8))),
        Observation(.process(status: 0, output: "done: 12", errors: "")),
        Observation(.process(status: 3, output: "", errors: "bad")),
    ]

    private static let tolerances: [JSONValue] = [
        200, 404, 0, [200, 201], [0, 3], ["type": "regex", "pattern": "done: [0-9]+", "target": "stdout"],
        ["type": "regex", "pattern": "noth", "target": "body"],
        ["type": "regex", "pattern": "^bad$", "target": "stderr"],
        ["type": "range", "range": [200, 299], "target": "status"],
        ["type": "range", "range": [1, 3], "target": "status"],
        ["type": "jsonpath", "path": "$.a[*]", "count": 3, "target": "body"],
        ["type": "jsonpath", "path": "$.n", "expect": [7], "target": "body"],
        ["type": "jsonpath", "path": "$.t", "expect": ["bye"], "target": "body"],
        ["type": "jsonpath", "path": "$.a[0]", "expect": [1], "target": "body"],
        ["type": "jsonpath", "path": "$.missing", "target": "body"],
    ]

    @Test("each tolerance and each output: the same verdict")
    func verdicts() throws {
        var mine: [Bool] = []
        var cases: [JSONValue] = []
        for tolerance in Self.tolerances {
            let document: JSONValue = [
                "title": "t",
                "method": [
                    [
                        "type": "probe", "name": "p", "tolerance": tolerance,
                        "provider": ["type": "http", "url": "http://a/"],
                    ]
                ],
            ]
            let judge = try #require(try ChaosExperiment(document).method[0].tolerance)
            for output in Self.outputs {
                // A path into a text that is no JSON is an error there.
                let isPath = tolerance["type"] == "jsonpath"
                if isPath, output.output["body"]?["n"] == nil { continue }
                mine.append(judge.judge(output).isMet)
                cases.append([tolerance, output.output])
            }
        }
        let answer = try TestPython.run(
            #"""
            import json, logging, sys
            logging.disable(logging.CRITICAL)
            from chaoslib.hypothesis import within_tolerance
            def verdict(t, v):
                try: return bool(within_tolerance(t, v))
                except Exception: return False
            print(json.dumps([verdict(t, v) for t, v in json.load(sys.stdin)]))
            """#, input: JSONValue.array(cases).text)
        guard case .array(let theirs) = try JSONValue(parsing: answer) else {
            Issue.record("a list is expected")
            return
        }
        for (index, verdict) in theirs.enumerated() {
            #expect(verdict == .bool(mine[index]), "\(cases[index].text)")
        }
        #expect(theirs.count == mine.count && mine.contains(true) && mine.contains(false))
    }

    @Test("what is exported is valid for the Toolkit, whatever was written")
    func exports() throws {
        var documents: [JSONValue] = []
        for name in FaultAction.names {
            let text = """
                experiment:
                  name: t
                  steady_state:
                    - probe: http
                      url: http://a/
                      expect: status == 200 AND latency < 1s AND json.x == 1
                      degraded: status < 500 AND body contains "a.b"
                  method:
                    - {action: \(name), target: a, latency: 1s, loss: 1%, share: 10, rate: 64KB/s, status: 503, by: 1h}
                  rollback: [{action: restore}]
                """
            documents.append(ToolkitExport(try experiment(text), api: "http://localhost:8474/").document)
        }
        let answer = try TestPython.run(
            #"""
            import json, logging, sys
            logging.disable(logging.CRITICAL)
            from chaoslib.experiment import ensure_experiment_is_valid
            for e in json.load(sys.stdin): ensure_experiment_is_valid(e)
            print('ok')
            """#, input: JSONValue.array(documents).text)
        #expect(answer == "ok\n")
    }
}
