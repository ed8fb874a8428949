import ShellTranscripts
import Testing

/// Words that differ between two runs, and the holes that take both.
@Suite struct LoosenerTests {
    @Test(arguments: [
        ("from 127.0.0.1:32768 now", "from 127.0.0.1:40112 now", "from 127.0.0.1:<int> now", 1),
        ("took 13.4ms", "took 9ms", "took <dur>", 1), ("a 1 b 2", "a 3 b 4", "a <int> b <int>", 2),
        ("share 33.4% of it", "share 5% of it", "share <num>% of it", 1), ("id a8f3x!", "id 77be!", "id <id>!", 1),
        ("sum=1.5, so", "sum=12, so", "sum=<num>, so", 1), ("at 15:00:01.5", "at 15:00:02", "at 15:00:<num>", 1),
        ("n   7  x", "n  12  x", "n<any><int>  x", 2), ("says yes!", "says no!", "says <id>!", 1),
        ("a (x,y) b", "a () b", "a (<any>) b", 1),
    ])
    func holes(_ one: String, _ other: String, _ line: String, _ count: Int) throws {
        let found = try #require(Loosener.line(one, elsewhere: other))
        #expect(found.line == line && found.holes == count)
        // What it stands for, it takes.
        for text in [one, other] {
            var captures: [String: String] = [:]
            #expect(
                try LinePattern(reading: line).matches(text, collapsingBlanks: false, &captures), "\(text)")
        }
    }

    @Test("lines that are not alike are none")
    func different() {
        for (one, other) in [("a b", "a b c"), ("1", "2"), ("", "a"), ("\\@x 1", "\\@x 2"), ("same", "same")] {
            #expect(Loosener.line(one, elsewhere: other) == nil)
        }
    }
}
