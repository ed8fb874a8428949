import KernelStructures
import KernelTelemetry
import Testing

@Suite("Trace context")
struct TraceContextTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let parent = "00f067aa0ba902b7"

    @Test("the specification's example, there and back")
    func example() throws {
        let text = "00-\(Self.trace)-\(Self.parent)-01"
        let context = try TraceContext(
            traceparent: [text], tracestate: ["rojo=00f067aa0ba902b7", " congo=t61rcWkgMzE "])
        #expect(context.traceparent == text && context.isSampled)
        #expect(context.tracestate == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
        var random = SeededRandom(seed: 1)
        let child = context.child(random: &random)
        #expect(child.traceID == context.traceID && child.spanID != context.spanID && child.state == context.state)
    }

    @Test("every other shape is refused")
    func rejections() {
        let trace = Self.trace
        let parent = Self.parent
        let cases: [([String], TraceContextError)] = [
            ([], .missing), (["00-\(trace)-\(parent)-01", "00-\(trace)-\(parent)-01"], .repeated), ([""], .malformed),
            (["00-\(trace)-\(parent)-1"], .malformed), (["00-\(trace)-\(parent)-01-"], .malformed),
            (["00-\(trace)-\(parent)-01-what"], .malformed), (["00-\(trace.uppercased())-\(parent)-01"], .malformed),
            (["00-\(trace)-\(parent.uppercased())-0A"], .malformed), (["0-\(trace)-\(parent)-01"], .malformed),
            (["000-\(trace)-\(parent)-01"], .malformed), (["00-\(trace.dropLast())-\(parent)-001"], .malformed),
            (["00-\(trace)\(parent)-01---"], .malformed), (["00_\(trace)-\(parent)-01"], .malformed),
            (["00-.\(trace.dropFirst())-\(parent)-01"], .malformed), (["00-\(trace)-\(parent)-0g"], .malformed),
            ([" 00-\(trace)-\(parent)-01"], .malformed), (["ff-\(trace)-\(parent)-01"], .forbiddenVersion),
            (["00-00000000000000000000000000000000-\(parent)-01"], .zeroTraceID),
            (["00-\(trace)-0000000000000000-01"], .zeroSpanID), (["cc-\(trace)-\(parent)-01.what"], .malformed),
        ]
        for (fields, error) in cases {
            #expect(throws: error, "\(fields)") { try TraceContext(traceparent: fields) }
        }
    }

    @Test("a version to come is read as far as this one goes, and other flags are not passed on")
    func future() throws {
        let context = try TraceContext(traceparent: ["cc-\(Self.trace)-\(Self.parent)-03-what the future brings"])
        #expect(context.traceparent == "00-\(Self.trace)-\(Self.parent)-01")
        let unsampled = try TraceContext(traceparent: ["00-\(Self.trace)-\(Self.parent)-fe"])
        #expect(unsampled.traceparent.hasSuffix("-00"))
    }

    @Test("lists of members")
    func state() throws {
        let good = [
            "a=1", "a=1,b=2", "a=1 \t, \tb=2", ",,a=1,,", "0t@s=1", "a_-*/=x y",
            "a=" + String(repeating: "v", count: 256),
            String(repeating: "k", count: 256) + "=1",
            String(repeating: "t", count: 241) + "@" + String(repeating: "s", count: 14) + "=1",
        ]
        for text in good { #expect(throws: Never.self, "\(text)") { try TraceState(parsing: [text]) } }
        let bad = [
            "a", "=1", "a=", "A=1", "1a=1", "a =1", "a=1=2", "a=é", "a@=1", "@a=1", "a@1=1", "a@b@c=1", "a b=1",
            "a=" + String(repeating: "v", count: 257), String(repeating: "k", count: 257) + "=1",
            String(repeating: "t", count: 242) + "@s=1", "t@" + String(repeating: "s", count: 15) + "=1",
        ]
        for text in bad { #expect(throws: TraceContextError.self, "\(text)") { try TraceState(parsing: [text]) } }
        #expect(throws: TraceContextError.duplicateMember("a")) { try TraceState(parsing: ["a=1", "b=2,a=1"]) }
        let many = (0..<33).map { "k\($0)=v" }
        #expect(throws: TraceContextError.tooManyMembers) { try TraceState(parsing: many) }
        #expect(try TraceState(parsing: Array(many.dropLast())).members.count == 32)
        // A bad list costs the list, not the trace.
        let context = try TraceContext(traceparent: ["00-\(Self.trace)-\(Self.parent)-01"], tracestate: ["Bad"])
        #expect(context.tracestate == nil)
    }

    @Test("one's own member becomes the first, and the last gives way")
    func setting() throws {
        var state = try TraceState(parsing: [(0..<32).map { "k\($0)=v" }.joined(separator: ",")])
        try state.set("k5", "new")
        #expect(state.description.hasPrefix("k5=new,k0=v") && state.members.count == 32)
        try state.set("mine", "1")
        #expect(state.members.count == 32 && state["k31"] == nil && state["mine"] == "1")
        #expect(throws: TraceContextError.badMember("Mine=1")) { try state.set("Mine", "1") }
    }

    @Test("ids are chance's, of a given source, and never zero; what is written is read", arguments: 0..<50)
    func roundTrip(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var again = SeededRandom(seed: seed)
        let context = TraceContext(random: &random, isSampled: random.chance(0.5))
        #expect(context == TraceContext(random: &again, isSampled: again.chance(0.5)))
        #expect(try TraceContext(traceparent: [context.traceparent]) == context)
        // One changed byte is refused, or read as the other text that it is.
        var bytes = Array(context.traceparent.utf8)
        bytes[random.below(bytes.count)] = UInt8(random.below(128))
        let text = String(decoding: bytes, as: UTF8.self)
        if let read = try? TraceContext(traceparent: [text]) {
            #expect(read.traceparent.dropFirst(3).prefix(49) == text.dropFirst(3).prefix(49))
        }
    }
}
