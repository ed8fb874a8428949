import KernelConfiguration
import KernelJSON
import Testing
import TimeSeriesEngine

@testable import PromQLEngine

@Suite("Rules and alerts")
struct RuleTests {
    private func groups(_ yaml: String) throws -> [RuleGroup] {
        try RuleFile(yaml: Array(yaml.utf8), file: "rules.yaml").groups.map { RuleGroup($0) }
    }

    /// Evaluates the group every `step` seconds and appends what it records; returns what is pending and firing.
    private func run(
        _ group: inout RuleGroup, _ store: MemorySeries, through seconds: Int64, step: Int64 = 15
    ) -> [String] {
        var lines: [String] = []
        for now in stride(from: Int64(0), through: seconds, by: Int(step)) {
            group.evaluate(at: now * 1000, over: store) { samples in
                for sample in samples { store.append(sample.labels, sample.timestamp, sample.value) }
            }
            let states = group.activeAlerts.map { "\($0.labels["job"]):\($0.state.rawValue)" }.sorted()
            lines.append("\(now) \(states.joined(separator: " "))")
        }
        return lines
    }

    private func value(_ query: String, _ store: MemorySeries, at seconds: Int64) throws -> [String] {
        let result = try PromQLExpression(parsing: query).evaluate(over: store, at: seconds * 1000)
        guard case .vector(let elements) = result.value else { return [] }
        return elements.map { "\($0.labels) \(GoFormat.plain($0.value))" }
    }

    @Test("a rule's series is there for the rule behind it at once, and ends when its result does")
    func recording() throws {
        let store = try MemorySeries.loading("requests{job=\"a\"} 0+15x8\nrequests{job=\"b\"} 0+30x4", step: 15_000)
        var group = try groups(
            """
            groups:
            - name: g
              interval: 15s
              rules:
              - record: job:requests:double
                expr: 2 * requests
                labels: { kind: "twice" }
              - record: total
                expr: sum(job:requests:double)
            """)[0]
        #expect(group.definition.intervalMilliseconds == 15_000)
        _ = run(&group, store, through: 60)
        #expect(
            try value("job:requests:double", store, at: 60) == [
                #"job:requests:double{job="a", kind="twice"} 120"#, #"job:requests:double{job="b", kind="twice"} 240"#,
            ])
        #expect(try value("total", store, at: 60) == ["total 360"])
        // b's last sample is at 60 s: five minutes later it is gone, and so is what was recorded of it, and the total.
        var labelled: [RuleGroup.Sample] = []
        group.evaluate(at: 375_000, over: store) { labelled += $0 }
        let ended = labelled.filter { Staleness.isMarker($0.value) }.map(\.labels["job"])
        #expect(ended == ["b", ""])
    }

    @Test("a group that is cut short goes on with that rule, and finds what it would have found at once")
    func cutShort() throws {
        let store = try MemorySeries.loading("up{job=\"a\"} 0x8\nup{job=\"b\"} 1x8", step: 15_000)
        let fresh = try groups(
            """
            groups:
            - name: g
              rules:
              - record: down
                expr: up == 0
              - alert: Down
                expr: down == 0
                annotations: { all: '{{ with query "count(up)" }}{{ . | first | value }}{{ end }}' }
              - record: number
                expr: count(up)
            """)[0]
        var whole = fresh
        var expected: [RuleGroup.Sample] = []
        func keep(_ samples: [RuleGroup.Sample], in list: inout [RuleGroup.Sample]) {
            for sample in samples { store.append(sample.labels, sample.timestamp, sample.value) }
            list += samples
        }
        #expect(whole.evaluate(at: 60_000, over: store) { keep($0, in: &expected) } == nil)
        #expect(expected.map(\.labels.metricName) == ["down", "ALERTS", "ALERTS_FOR_STATE", "number"])
        for rule in 0..<3 {
            var group = fresh
            var found: [RuleGroup.Sample] = []
            var asked = 0
            let rest = group.evaluate(at: 60_000, over: store) {
                asked += 1
                return asked > rule
            } append: {
                keep($0, in: &found)
            }
            #expect(rest == rule)
            #expect(group.rules[rule...].allSatisfy { $0.lastEvaluation == nil && $0.error == nil })
            #expect(group.rules[rule...].allSatisfy { $0.book?.alerts.isEmpty != false })
            #expect(group.evaluate(at: 60_000, from: rule, over: store) { keep($0, in: &found) } == nil)
            #expect(found == expected)
            #expect(group.activeAlerts == whole.activeAlerts)
        }
    }

    @Test("an alert waits for `for`, and is told once a minute and when it ends")
    func alerting() throws {
        let store = try MemorySeries.loading("up{job=\"a\"} 1 1 0 0 0 0 0 0 1 1 1\nup{job=\"b\"} 0 1x9", step: 15_000)
        var group = try groups(
            """
            groups:
            - name: g
              rules:
              - alert: Down
                expr: up == 0
                for: 30s
                labels: { severity: page, value: "{{ $value }}" }
                annotations: { summary: "{{ $labels.job }} is down" }
            """)[0]
        let lines = run(&group, store, through: 150)
        #expect(
            lines == [
                "0 b:pending", "15 ", "30 a:pending", "45 a:pending", "60 a:firing", "75 a:firing", "90 a:firing",
                "105 a:firing", "120 ", "135 ", "150 ",
            ])
        #expect(
            try value("ALERTS", store, at: 60) == [
                #"ALERTS{alertname="Down", alertstate="firing", job="a", severity="page", value="0"} 1"#
            ])
        #expect(
            try value("ALERTS_FOR_STATE", store, at: 90) == [
                #"ALERTS_FOR_STATE{alertname="Down", job="a", severity="page", value="0"} 30"#
            ])
        #expect(try value("ALERTS", store, at: 120).isEmpty)
        let due = group.takeDueAlerts(at: 150_000)
        #expect(due.map(\.state) == [.inactive])
        #expect(due[0].annotations[0].text == "a is down")
        #expect(due[0].resolvedAt == 120_000)
        #expect(group.takeDueAlerts(at: 165_000).isEmpty)
        #expect(group.takeDueAlerts(at: 211_000).count == 1)
    }

    @Test("the end of an alert is told at once, and again after a minute like everything else")
    func ends() {
        var book = AlertBook(forMilliseconds: 0, keepFiringForMilliseconds: 0)
        _ = book.update([.init(labels: ["alertname": "Down"], value: 1)], at: 0)
        func due(_ now: Int64) -> [Alert.State] {
            book.takeDue(at: now, intervalMilliseconds: 15_000).map(\.state)
        }
        #expect(due(0) == [.firing] && due(30_000) == [])
        _ = book.update([], at: 45_000)
        #expect(due(45_000) == [.inactive] && due(60_000) == [] && due(106_000) == [.inactive])
    }

    @Test("keep_firing_for bridges gaps, and only firing alerts have it")
    func keepFiring() throws {
        let store = try MemorySeries.loading(
            "up{job=\"a\"} 0 0 1 0 1 1 1 1 1\nup{job=\"b\"} 1 0 1 1 1 1 1 1 1", step: 15_000)
        var group = try groups(
            """
            groups:
            - { name: g, rules: [{ alert: Down, expr: up == 0, for: 15s, keep_firing_for: 30s }] }
            """)[0]
        #expect(
            run(&group, store, through: 120) == [
                "0 a:pending", "15 a:firing b:pending", "30 a:firing", "45 a:firing", "60 a:firing", "75 a:firing",
                "90 ",
                "105 ", "120 ",
            ])
    }

    @Test("after a restart an alert goes on where it was")
    func restoration() throws {
        let store = try MemorySeries.loading("up{job=\"a\"} 0x200", step: 15_000)
        let yaml = "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0, for: 20m }] }]"
        var group = try groups(yaml)[0]
        _ = run(&group, store, through: 600)
        var restarted = try groups(yaml)[0]
        restarted.evaluate(at: 660_000, over: store) { _ in }
        // One minute without anybody looking does not count.
        #expect(restarted.activeAlerts.map(\.activeAt) == [60_000])
        var forgetful = try groups(yaml.replacing("20m", with: "5m"))[0]
        forgetful.evaluate(at: 660_000, over: store) { _ in }
        #expect(forgetful.activeAlerts.map(\.activeAt) == [660_000])
    }

    @Test("a reload keeps what the same rule has found")
    func adoption() throws {
        let store = try MemorySeries.loading("up{job=\"a\"} 0x50", step: 15_000)
        let yaml = "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0, for: 1m }] }]"
        var group = try groups(yaml)[0]
        _ = run(&group, store, through: 45)
        var same = try groups(yaml)[0]
        same.adopt(group)
        #expect(same.activeAlerts.map(\.activeAt) == [0])
        var other = try groups(yaml.replacing("1m", with: "2m"))[0]
        other.adopt(group)
        #expect(other.activeAlerts.isEmpty)
    }

    @Test("a rule that fails says why, and the others go on")
    func failures() throws {
        let store = try MemorySeries.loading("x{a=\"1\"} 1x9\nx{a=\"2\"} 2x9", step: 15_000)
        var group = try groups(
            """
            groups:
            - name: g
              limit: 1
              rules:
              - { record: same, expr: x, labels: { a: "" } }
              - { record: many, expr: x }
              - { record: fine, expr: sum(x) }
              - { alert: Many, expr: x }
              - { alert: Same, expr: x > 1, labels: { a: "{{ query \\"nosuch(\\" }}" } }
              - { record: text, expr: '"x"' }
            """)[0]
        _ = run(&group, store, through: 0)
        #expect(
            group.rules.map(\.error) == [
                "exceeded limit of 1 with 2 series", "exceeded limit of 1 with 2 series", nil,
                "exceeded limit of 1 with 2 alerts", nil, "rule result is not a vector or scalar",
            ])
        #expect(
            group.activeAlerts.map { $0.labels["a"] } == [
                #"<error expanding template: error calling query: 1:7: parse error: unexpected left parenthesis>"#
            ] || group.activeAlerts[0].labels["a"].hasPrefix("<error expanding template: error calling query: 1:"))
        let rules = group.json["rules"]
        #expect(rules?[0]?["health"].map { "\($0)" } == "\(JSONValue.string("err"))")
    }

    @Test(
        "files are refused with the place and Prometheus's words",
        arguments: [
            ("groups: [{ name: g }, { name: g }]", #"rules.yaml:1:23: groupname: "g" is repeated in the same file"#),
            ("groups: [{ name: g, rules: [{ expr: up }] }]", "one of 'record' or 'alert' must be set"),
            (
                "groups: [{ name: g, rules: [{ record: a, alert: b, expr: up }] }]",
                "only one of 'record' and 'alert' must be set"
            ),
            ("groups: [{ name: g, rules: [{ record: a }] }]", "field 'expr' must be set in rule"),
            (
                "groups: [{ name: g, rules: [{ record: a, expr: 'sum(' }] }]",
                "could not parse expression: 1:5: parse error"
            ),
            ("groups: [{ name: g, rules: [{ record: a-b, expr: up }] }]", "invalid recording rule name: a-b"),
            (
                "groups: [{ name: g, rules: [{ record: a, expr: up, for: 1m }] }]",
                "invalid field 'for' in recording rule"
            ),
            ("groups: [{ name: g, rules: [{ alert: a, expr: up, for: 1 }] }]", "not a valid duration string"),
            ("groups: [{ name: g, rules: [{ alert: a, expr: up, labels: { b-c: d } }] }]", "invalid label name: b-c"),
            (
                "groups: [{ name: g, rules: [{ alert: a, expr: up, labels: { b: '{{ if }}' } }] }]",
                "missing value for command"
            ),
            ("groups: [{ name: g, foo: 1 }]", "unknown key 'foo'"),
            ("groups: [{ rules: [] }]", "must have a name"),
        ])
    func wrongFiles(_ yaml: String, _ error: String) {
        do throws(ConfigurationError) {
            _ = try RuleFile(yaml: Array(yaml.utf8), file: "rules.yaml")
            Issue.record("\(yaml) was taken")
        } catch {
            #expect(error.description.contains(error.text) && "\(error)".hasPrefix("rules.yaml:1:"))
        }
        #expect((try? RuleFile(yaml: Array(yaml.utf8), file: "rules.yaml")) == nil)
        do { _ = try RuleFile(yaml: Array(yaml.utf8), file: "rules.yaml") } catch let problem {
            #expect("\(problem)".contains(error), "\(problem)")
        }
    }

    // MARK: Backtest

    @Test("a backtest tells when an alert would have come, as the rule itself does")
    func backtest() throws {
        let text = "up{job=\"a\"} 1 1 0 0 0 0 0 0 1 1 1\nup{job=\"b\"} 0 1x9\nup{job=\"c\"} 1x5 0 0 0 0 0"
        let store = try MemorySeries.loading(text, step: 15_000)
        let rule = RuleDefinition(
            alert: "Down", try PromQLExpression(parsing: "up == 0"), forMilliseconds: 30_000)
        var limits = QueryLimits()
        for steps in [11_000, 3, 1] {
            limits.steps = steps
            let test = try AlertBacktest(
                rule, over: store, from: 0, through: 150_000, intervalMilliseconds: 15_000, limits: limits)
            #expect(test.evaluations == 11)
            #expect(
                test.episodes.map { "\($0.labels["job"]) \($0.pendingAt) \($0.firingAt ?? -1) \($0.endedAt ?? -1)" }
                    == [
                        "b 0 -1 15000", "a 30000 60000 120000", "c 90000 120000 -1",
                    ])
        }
        #expect(throws: PromQLError.self) {
            try AlertBacktest(
                RuleDefinition(alert: "x", try PromQLExpression(parsing: "up[5m]")), over: store, from: 0, through: 1,
                intervalMilliseconds: 1)
        }
        _ = try AlertBacktest(rule, over: store, from: .min, through: .min, intervalMilliseconds: .max)
    }
}
