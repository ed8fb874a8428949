import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// Relabelling as Prometheus does it: the cases of `model/relabel` in words of our own.
@Suite struct RelabellingTests {
    private func apply(_ yaml: String, _ labels: Labels) throws -> Labels? {
        let page = "scrape_configs:\n  - job_name: x\n    metric_relabel_configs:\n      - \(yaml)\n"
        let configuration = try CollectorConfiguration(yaml: Array(page.utf8), file: "x.yaml")
        return RelabelRule.apply(configuration.scrapes[0].metricRules, to: labels)
    }

    @Test(arguments: [
        ("{source_labels: [a], regex: \"f(.*)\", target_label: d, replacement: \"ch${1}-ch${1}\"}", "choo-choo"),
        ("{source_labels: [a, b], regex: \"(.*);(.*)\", target_label: d, replacement: \"$2$1\"}", "barfoo"),
        ("{source_labels: [a], regex: \"(o)\", target_label: d}", ""),
        ("{source_labels: [a], regex: \"f(.*)\", target_label: d, replacement: \"$1x\"}", ""),
        ("{source_labels: [a], regex: \"f(?P<rest>.*)\", target_label: d, replacement: \"${rest}x\"}", "oox"),
        ("{source_labels: [a], target_label: d, action: uppercase}", "FOO"),
        ("{source_labels: [c], target_label: d, action: hashmod, modulus: 1000}", "976"),
        ("{target_label: d, replacement: \"$$5\"}", "$5"),
    ])
    func targets(rule: String, value: String) throws {
        let result = try #require(try apply(rule, ["a": "foo", "b": "bar", "c": "baz"]))
        #expect(result["d"] == value)
        #expect(result["a"] == "foo")
    }

    @Test func othersStayOrGo() throws {
        let labels: Labels = ["a": "foo", "b1": "x", "b2": "y"]
        #expect(try apply("{action: drop, source_labels: [a], regex: foo}", labels) == nil)
        #expect(try apply("{action: drop, source_labels: [a], regex: fo}", labels) == labels)
        #expect(try apply("{action: keep, source_labels: [a], regex: \"f.*\"}", labels) == labels)
        #expect(try apply("{action: keep, source_labels: [none], regex: x}", labels) == nil)
        #expect(try apply("{action: keepequal, source_labels: [a], target_label: b1}", labels) == nil)
        #expect(try apply("{action: dropequal, source_labels: [a], target_label: b1}", labels) == labels)
        #expect(try apply("{action: labelmap, regex: \"b(.*)\", replacement: \"c$1\"}", labels)?["c2"] == "y")
        #expect(try apply("{action: labeldrop, regex: \"b.*\"}", labels) == ["a": "foo"])
        #expect(try apply("{action: labelkeep, regex: \"b.*\"}", labels) == ["b1": "x", "b2": "y"])
        // An empty value removes the label.
        #expect(
            try apply("{source_labels: [a], target_label: b1, regex: foo, replacement: \"\"}", labels)?.has("b1")
                == false)
    }

    @Test(arguments: [
        "{action: replace}", "{action: hashmod, target_label: x}", "{action: nothing}",
        "{regex: \"(\", target_label: x}",
        "{action: lowercase, target_label: \"a-b\"}", "{target: x}",
    ])
    func mistakes(rule: String) { #expect(throws: (any Error).self) { try apply(rule, [:]) } }

    @Test func aTargetHasItsAddressAndWhatRulesMakeOfIt() throws {
        var scrape = ScrapeConfiguration(job: "node")
        scrape.parameters = [("module", ["http", "tcp"])]
        let plain = try #require(Target("host:9100", group: ["env": "prod"], scrape))
        #expect(plain.url == "http://host:9100/metrics?module=http&module=tcp")
        #expect(plain.labels == ["env": "prod", "instance": "host:9100", "job": "node"])
        #expect(try #require(Target("host", group: [:], scrape)).labels["instance"] == "host:80")
        // The place in the interval depends on the target alone, and targets are spread.
        let offsets = (0..<200).compactMap { Target("host\($0):1", group: [:], scrape)?.offset(seed: 0) }
        #expect(Set(offsets).count > 150)
        #expect(offsets.allSatisfy { $0 < scrape.interval })
    }
}
