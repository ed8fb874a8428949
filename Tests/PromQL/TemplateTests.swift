import KernelStructures
import Testing
import TimeSeriesEngine

@testable import PromQLEngine

@Suite("Templates of alerts")
struct TemplateTests {
    private func store() throws -> MemorySeries {
        try MemorySeries.loading("x{a=\"one\",n=\"2\"} 1x9\nx{a=\"two\",n=\"1\"} 20x9\ny 7x9", step: 15_000)
    }

    private func text(_ template: String, value: Double = 1234.5) throws -> String {
        var context = RuleGroup.Context()
        context.externalLabels = ["region": "eu"]
        context.externalURL = "http://prometheus:9090"
        let scope = AlertTemplate.Scope(
            labels: ["__name__": "up", "job": "api", "instance": "host.example:80"], value: value, context: context,
            now: 60_000, queryable: try store(), limits: QueryLimits())
        return try AlertTemplate(template).text(in: scope)
    }

    @Test(
        "what alerts are written with",
        arguments: [
            ("plain", "plain"), ("{{ $labels.job }} is {{ $value }}", "api is 1234.5"),
            (
                "{{ .Labels.job }}/{{ .Value }}/{{ $externalLabels.region }}/{{ $externalURL }}",
                "api/1234.5/eu/http://prometheus:9090"
            ),
            ("{{ $labels.nosuch }}.", "."), ("a {{- $value -}} b", "a1234.5b"), ("a {{/* nothing */}}b", "a b"),
            ("{{ $value | humanize }}", "1.234k"), ("{{ humanize1024 1048576.0 }}", "1Mi"),
            ("{{ 0.001 | humanize }}", "1m"), ("{{ $value | humanizeDuration }}", "20m 34s"),
            ("{{ humanizeDuration 100000 }}", "1d 3h 46m 40s"), ("{{ 0.2512 | humanizePercentage }}", "25.12%"),
            ("{{ humanizeTimestamp 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"),
            (
                "{{ printf \"%.1f and %s, %d%%, %5.2f|%-4s|\" $value $labels.job 3 2.0 \"a\" }}",
                "1234.5 and api, 3%,  2.00|a   |"
            ),
            ("{{ if gt $value 1000.0 }}many{{ else }}few{{ end }}", "many"),
            ("{{ if eq $labels.job \"db\" }}1{{ else if eq $labels.job \"api\" }}2{{ else }}3{{ end }}", "2"),
            ("{{ with $labels.job }}<{{ . }}>{{ end }}{{ with $labels.no }}x{{ else }}none{{ end }}", "<api>none"),
            ("{{ query \"y\" | first | value }}", "7"),
            ("{{ with query \"x > 10\" }}{{ . | first | label \"a\" }}{{ end }}", "two"),
            ("{{ range query \"x\" | sortByLabel \"n\" }}{{ .Labels.a }}={{ .Value }} {{ end }}", "two=20 one=1 "),
            ("{{ range $i, $s := query \"x\" }}{{ $i }}:{{ $s.Value }},{{ end }}", "0:1,1:20,"),
            ("{{ $x := 3 }}{{ if true }}{{ $x := 4 }}{{ $x }}{{ end }}{{ $x }}", "43"),
            ("{{ \"a b\" | title }} {{ toUpper \"x\" }} {{ stripPort $labels.instance }}", "A B X host.example"),
            ("{{ match \"a.*\" $labels.job }} {{ reReplaceAll \"(a)p\" \"$1-\" \"apple\" }}", "true a-ple"),
            (
                "{{ len \"abc\" }} {{ not false }} {{ and 1 0 }} {{ or \"\" \"x\" }} {{ (query \"y\" | first).Value }}",
                "3 true 0 x 7"
            ),
            ("{{ nosuch 1 }}", "<error expanding template: function \"nosuch\" not defined>"),
            ("{{ query \"nosuch\" | first }}", "<error expanding template: first() called on vector with no elements>"),
        ])
    func expansion(_ template: String, _ expected: String) throws {
        #expect(try text(template) == expected, "\(template)")
    }

    @Test(
        "a template that cannot be read is refused",
        arguments: [
            "{{", "{{ }}", "{{ if true }}", "{{ end }}", "{{ else }}", "{{ \"x }}", "{{ (1 }}", "{{ 1) }}",
            "{{ | humanize }}",
            "{{ define \"x\" }}{{ end }}", "{{ 1..2 }}", "{{ # }}", String(repeating: "{{ if 1 }}", count: 200),
            "{{ " + String(repeating: "(", count: 500) + "1" + String(repeating: ")", count: 500) + " }}",
        ])
    func refused(_ template: String) {
        #expect(throws: AlertTemplate.Failure.self) { try AlertTemplate(template) }
    }

    @Test("no template runs for long or writes much")
    func bounds() throws {
        let loops =
            String(repeating: "{{ range query \"x\" }}", count: 40) + "y" + String(repeating: "{{ end }}", count: 40)
        #expect(try text(loops).hasPrefix("<error expanding template: "))
        #expect(try text("{{ printf \"%999999999d\" 1 }}") == "%!d(WIDTH)")
    }

    @Test("templates by chance are read or refused, and give a text")
    func fuzz() throws {
        let words = [
            "{{", "}}", "{{ ", " }}", "$value", "$labels.job", ".", "|", "humanize", "if", "else", "end", "range",
            "with",
            "query \"x\"", "first", "(", ")", "\"", "`", "printf \"%5.3d\"", "1", "-", ":=", "$x", "x", " ", "eq", "/*",
            "*/",
        ]
        var random = SeededRandom(seed: 9)
        var read = 0
        for _ in 0..<4000 {
            let template = (0..<(1 + random.below(12))).map { _ in words[random.below(words.count)] }.joined(
                separator: random.below(2) == 0 ? " " : "")
            guard (try? AlertTemplate(template)) != nil else { continue }
            read += 1
            #expect(try text(template).utf8.count < 70_000)
        }
        #expect(read > 500)
    }
}
