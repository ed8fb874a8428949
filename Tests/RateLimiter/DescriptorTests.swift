import KernelJSON
import KernelStructures
import RateLimiterEngine
import RateLimiterService
import Testing

/// Envoy's rate limit service: `POST /json`.
@Suite struct DescriptorTests {
    private func bench(_ rules: String) throws -> ServiceBench {
        try ServiceBench("rules: [\(rules)]", descriptors: true)
    }

    private func ask(_ bench: ServiceBench, _ body: String) throws -> (status: Int, json: JSONValue) {
        let answer = try bench.post("/json", body)
        return (answer.head.status, try JSONValue(parsing: answer.body))
    }

    private func descriptor(_ key: String, _ value: String) -> String {
        #"{"entries": [{"key": "\#(key)", "value": "\#(value)"}]}"#
    }

    @Test("what the service's own documentation shows: the limit, what is left, and 429 over it")
    func documented() throws {
        let bench = try bench(
            "{name: one_per_minute, rate: 1/minute, algorithm: fixed-window}, {name: many, algorithm: gcra, rate: 100/minute}"
        )
        let descriptors = [descriptor("one_per_minute", "something"), descriptor("many", "x")].joined(separator: ", ")
        let body = #"{"domain": "dummy", "descriptors": [\#(descriptors)]}"#
        let first = try ask(bench, body)
        #expect(first.status == 200 && first.json["overallCode"] == "OK")
        let statuses = try #require(first.json["statuses"])
        #expect(statuses[0]?["code"] == "OK" && statuses[0]?["limitRemaining"] == nil)
        #expect(statuses[0]?["currentLimit"]?.text == #"{"requestsPerUnit": 1, "unit": "MINUTE"}"#)
        #expect(statuses[1]?["limitRemaining"] == .integer(99))
        let second = try ask(bench, body)
        #expect(second.status == 429 && second.json["overallCode"] == "OVER_LIMIT")
        #expect(second.json["statuses"]?[0]?["code"] == "OVER_LIMIT")
        // Each is counted by itself.
        #expect(second.json["statuses"]?[1]?["limitRemaining"] == .integer(98))
    }

    @Test("entries and domains are counted apart, unless they are the same; one about no rule is OK")
    func keys() throws {
        let bench = try bench("{name: user, algorithm: gcra, rate: 1/hour}")
        func status(_ domain: String, _ entries: String) throws -> Int {
            try ask(bench, #"{"domain": "\#(domain)", "descriptors": [{"entries": [\#(entries)]}]}"#).status
        }
        let alice = #"{"key": "user", "value": "alice"}"#
        #expect(try status("a", alice) == 200 && status("a", alice) == 429)
        #expect(try status("b", alice) == 200)
        #expect(try status("a", #"{"key": "user", "value": "bob"}"#) == 200)
        #expect(try status("a", #"{"key": "tenant", "value": "1"}, \#(alice)"#) == 200)
        // No two lists of entries come out the same.
        #expect(try status("a", #"{"key": "user", "value": "x user=y"}"#) == 200)
        #expect(try status("a", #"{"key": "user", "value": "x"}, {"key": "user", "value": "y"}"#) == 200)
        for _ in 0..<3 { #expect(try status("a", #"{"key": "nobody"}"#) == 200) }
    }

    @Test(
        "hits are added in either spelling and as text, of the request or of a descriptor; Remaining stays in the limit"
    )
    func hits() throws {
        let bench = try bench("{name: k, algorithm: token-bucket, rate: 10/minute, burst: 20}")
        func left(_ members: String, _ own: String = "") throws -> JSONValue? {
            try ask(
                bench,
                #"{"domain": "d", \#(members)"descriptors": [{"entries": [{"key": "k", "value": "v"}]\#(own)}]}"#
            ).json["statuses"]?[0]?["limitRemaining"]
        }
        #expect(try left("") == .integer(10))
        #expect(try left(#""hitsAddend": 9, "#) == .integer(10))
        #expect(try left(#""hits_addend": "3", "#) == .integer(7))
        #expect(try left("", #", "hitsAddend": 2"#) == .integer(5))
    }

    @Test(
        "what is no request is refused with its place",
        arguments: [
            ("", "empty"), ("{", "JSON"), ("[]", "object"), (#"{"domain": "d", "descriptors": []}"#, "1 to 100"),
            (#"{"domain": 1, "descriptors": [{}]}"#, "$.domain"),
            (#"{"domain": "d", "descriptors": [{"entries": []}]}"#, "$.descriptors[0].entries"),
            (#"{"domain": "d", "descriptors": [{"entries": [{"key": "k"}], "limit": {}}]}"#, "limit"),
            (#"{"domain": "d", "hitsAddend": -1, "descriptors": [{"entries": [{"key": "k"}]}]}"#, "hitsAddend"),
            (
                #"{"domain": "d", "hitsAddend": 99999999999999999999, "descriptors": [{"entries": [{"key": "k"}]}]}"#,
                "hitsAddend"
            ),
            (#"{"domain": "d", "descriptors": [{"entries": [{"key": "busy"}]}]}"#, "under way"),
        ])
    func refused(body: String, words: String) throws {
        let bench = try bench("{name: k, algorithm: gcra, rate: 1}, {name: busy, algorithm: concurrency, rate: 3}")
        let answer = try bench.post("/json", body)
        #expect(answer.head.status == 400 && answer.body.contains(words), "\(answer.body)")
    }

    @Test("fuzz: whatever is posted is answered, and a request that is read is read the same again")
    func fuzz() throws {
        var random = SeededRandom(seed: 9)
        let seed = Array(#"{"domain":"d","hitsAddend":"2","descriptors":[{"entries":[{"key":"k","value":"é"}]}]}"#.utf8)
        for _ in 0..<3000 {
            var bytes = seed
            for _ in 0..<(1 + random.below(3)) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            guard let json = try? JSONValue(parsing: bytes), let request = try? DescriptorServer.read(json) else {
                continue
            }
            #expect(!request.1.isEmpty && request.1.allSatisfy { (1...1_000_000).contains($0.hits) })
            #expect(try DescriptorServer.read(json).1 == request.1)
        }
    }
}
