import KernelStructures
import TestSupport
import Testing

@testable import CacheEngine

/// memcached's protocol, without a network.
@Suite struct MemcachedTests {
    /// What is answered to some input; `|` stands for a line end.
    private final class Session {
        let cache: Cache
        let memcached: Memcached
        var reader = MemcachedReader()

        init(_ settings: CacheSettings = CacheSettings()) {
            cache = Cache(settings)
            cache.now = 1_700_000_000_000
            memcached = Memcached(cache)
        }

        func ask(_ text: String, pieces: Int = .max) -> String {
            let bytes = Array(text.replacing("|", with: "\r\n").utf8)
            var reply: [UInt8] = []
            var place = 0
            while place < bytes.count {
                let end = pieces == .max ? bytes.count : min(bytes.count, place + pieces)
                bytes[place..<end].withUnsafeBytes { piece in
                    var position = 0
                    reading: while true {
                        switch reader.next(piece, &position) {
                        case .needMore: break reading
                        case .request(let request): _ = memcached.perform(request, into: &reply)
                        case .refused(let text), .failed(let text): reply += Array((text + "\r\n").utf8)
                        }
                    }
                }
                place = end
            }
            return String(decoding: reply, as: UTF8.self).replacing("\r\n", with: "|")
        }
    }

    @Test("the text protocol, in one piece and byte by byte", arguments: [1, 7, Int.max])
    func text(pieces: Int) {
        let session = Session()
        for (request, reply) in [
            ("set a 5 0 3|foo|", "STORED|"), ("get a b|", "VALUE a 5 3|foo|END|"), ("add a 0 0 1|x|", "NOT_STORED|"),
            ("replace b 0 0 1|x|", "NOT_STORED|"), ("append a 0 0 3|bar|", "STORED|"),
            ("prepend a 9 0 1|>|", "STORED|"),
            ("get a|", "VALUE a 5 7|>foobar|END|"), ("gets a|", "VALUE a 5 7 3|>foobar|END|"),
            ("cas a 0 0 1 2|x|", "EXISTS|"), ("cas a 0 0 1 3|x|", "STORED|"), ("cas zz 0 0 1 3|x|", "NOT_FOUND|"),
            ("set n 0 0 2|10|", "STORED|"), ("incr n 5|", "15|"), ("decr n 99|", "0|"), ("incr zz 1|", "NOT_FOUND|"),
            ("incr n x|", "CLIENT_ERROR invalid numeric delta argument|"),
            ("incr a 1|", "CLIENT_ERROR cannot increment or decrement non-numeric value|"),
            ("set m 0 0 20|18446744073709551615|", "STORED|"), ("incr m 1|", "0|"), ("touch n 10|", "TOUCHED|"),
            ("gat 0 n|", "VALUE n 0 1|0|END|"), ("delete n|", "DELETED|"), ("delete n|", "NOT_FOUND|"),
            ("set q 0 0 1 noreply|x|get q|", "VALUE q 0 1|x|END|"), ("verbosity 1|", "OK|"), ("nosuch|", "ERROR|"),
            ("stats noreply|", "ERROR|"), ("stats nosuch|", "ERROR|"), ("stats items|", "END|"),
            ("stats cachedump 1 1|", "END|"), ("stats reset|", "RESET|"), ("cache_memlimit x|", "ERROR|"),
            ("cache_memlimit 7|", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m|"),
            ("cache_memlimit 9223372036854775807|", "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust|"),
            (
                "cache_memlimit 64 noreply|stats settings|",
                """
                STAT maxbytes 67108864|STAT evictions on|STAT flush_enabled yes|STAT dump_enabled no|END|
                """
            ),
            ("set a b c d|", "CLIENT_ERROR bad data chunk|"), ("flush_all|get a|", "OK|END|"), ("mn|", "MN|"),
            ("set big 0 0 2000000|\(String(repeating: "x", count: 200))", "SERVER_ERROR object too large for cache|"),
        ] {
            #expect(session.ask(request, pieces: pieces) == reply, "\(request.prefix(40))")
        }
    }

    // @covers DC-C4
    @Test("one of many who miss is told to load, the others that somebody does")
    func stampede() {
        let session = Session()
        for (request, reply) in [
            ("mg a v N30 t|", "VA 0 t30 W||"), ("mg a v N30|", "VA 0 Z||"), ("ms a 3 T60|new|", "HD|"),
            ("mg a v|", "VA 3|new|"), ("mg a v R30|", "VA 3|new|"), ("md a I T30|", "HD|"),
            ("mg a v t|", "VA 3 t30 W X|new|"),
            ("mg a v|", "VA 3 X Z|new|"), ("ms a 2 T60|ok|", "HD|"), ("mg a v c|", "VA 2 c4|ok|"),
            ("md a q|mn|", "MN|"),
            ("mg a v|", "EN|"), ("mg a v q|mn|", "MN|"),
        ] {
            #expect(session.ask(request) == reply, "\(request)")
        }
        // Before the end: whoever asks first within the last thirty seconds.
        #expect(session.ask("ms b 1 T60|x|") == "HD|")
        session.cache.now += 31_000
        #expect(session.ask("mg b v R30|") == "VA 1 W|x|")
        #expect(session.ask("mg b v R30|") == "VA 1 Z|x|")
    }

    @Test("a thousand clients that miss at the same moment load it once, and one that fails spoils nothing")
    func thousand() {
        let session = Session()
        let answers = (0..<1000).map { _ in session.ask("mg page v N30|") }
        #expect(answers.filter { $0.contains(" W") }.count == 1)
        #expect(answers.filter { $0.contains(" Z") }.count == 999)
        // The one who was told to fails, and says nothing: when the time is over, the next is told.
        session.cache.now += 30_001
        let later = (0..<1000).map { _ in session.ask("mg page v N30|") }
        #expect(later.filter { $0.contains(" W") }.count == 1)
    }

    @Test("flags of the meta commands")
    func meta() {
        let session = Session()
        for (request, reply) in [
            ("ms Zm9v 1 b F7|x|", "HD|"), ("mg foo v f s k Oabc q|", "VA 1 f7 s1 kfoo Oabc|x|"),
            ("mg foo h|", "HD h1|"),
            ("ms n 1 MR|1|", "NS|"), ("ma n|", "NF|"), ("ma n N0 J10 v|", "VA 2|10|"), ("ma n D5 v|", "VA 2|15|"),
            ("ma n MD D100 v|", "VA 1|0|"), ("ms foo 1 C1|y|", "HD|"), ("ms foo 1 C1|y|", "EX|"),
            ("mg foo v v|", "CLIENT_ERROR bad command line format|"),
            ("mg foo Nx|", "CLIENT_ERROR bad token in command line format|"),
            ("ms foo 1 MA|z|", "HD|"), ("mg foo v|", "VA 2|yz|"),

        ] {
            #expect(session.ask(request) == reply, "\(request)")
        }
    }

    @Test("however the bytes are cut, whatever they are, the same requests are read, and nothing grows")
    func fuzz() {
        var random = SeededRandom(seed: 21)
        let parts = [
            "set a 0 0 3\r\nfoo\r\n", "get a\r\n", "ms b 2 T5\r\nhi\r\n", "mg b v t\r\n", "set x 0 0 5\r\nab\r\n",
            "\r\n", "  \r\n", "set a 0 0 -1\r\n", "ms\r\n", "set a 0 0 99999999999999999999\r\n", "\u{0}\u{1}\n",
            "incr",
            "ms c S\r\n", "md a q x\r\n", "ma n N5 D18446744073709551615\r\n", "mg \u{7F} v\r\n", "gat -1 a\r\n",
            "set a 0 0 1048577\r\n", "cas a 0 0 1 x\r\ny\r\n", "touch a 9223372036854775807\r\n",
        ]
        for _ in 0..<(isLong ? 20_000 : 1000) {
            let bytes = (0..<1 + random.below(12)).flatMap { _ in Array(parts[random.below(parts.count)].utf8) }
            func read(_ next: () -> Int) -> [MemcachedReader.Event] {
                var reader = MemcachedReader()
                var events: [MemcachedReader.Event] = []
                var place = 0
                while place < bytes.count {
                    let end = min(bytes.count, place + next())
                    bytes[place..<end].withUnsafeBytes { piece in
                        var position = 0
                        while true {
                            let event = reader.next(piece, &position)
                            if event == .needMore { break }
                            events.append(event)
                        }
                    }
                    place = end
                    #expect(reader.heldByteCount <= bytes.count)
                }
                return events
            }
            let whole = read { .max / 2 }
            #expect(read { 1 } == whole)
            #expect(read { 1 + random.below(9) } == whole)
            let session = Session()
            var reply: [UInt8] = []
            for case .request(let request) in whole { _ = session.memcached.perform(request, into: &reply) }
        }
    }
}
