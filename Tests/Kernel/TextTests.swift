import KernelStructures
import Testing

@Suite("Text")
struct TextTests {
    @Test("numbers are padded, grouped and counted")
    func numbers() {
        #expect(padded(7, 3) == "007")
        #expect(padded(1234, 3) == "1234")
        #expect(padded(-5, 3) == "-05")
        #expect(hexadecimal(255, 4) == "00ff")
        #expect(grouped(1_234_567) == "1,234,567")
        #expect(grouped(-1000) == "-1,000")
        #expect(grouped(999) == "999")
        #expect(grouped(.min) == "-9,223,372,036,854,775,808")
        #expect(counted(1, "backend") == "1 backend")
        #expect(counted(0, "backend") == "0 backends")
        #expect(counted(2, "entry", "entries") == "2 entries")
    }

    @Test("what would steer a terminal is written out, and the rest stays as it is")
    func printing() {
        #expect(printable("plain, äöü, 東京, 👩‍🚀") == "plain, äöü, 東京, 👩‍🚀")
        #expect(printable("\u{1B}]0;title\u{7}\n\u{7F}\u{9B}2J") == #"\x1B]0;title\x07\x0A\x7F\x9B2J"#)
        #expect(printable("a\nb\tc\u{8}", keeping: "\n\t") == "a\nb\tc" + #"\x08"#)
        #expect(printable("user\u{202E}txt.exe\u{2066}\u{200F}") == #"user\u{202E}txt.exe\u{2066}\u{200F}"#)
    }

    @Test("a log line is one line, whatever its words are, in the text and in the template")
    func logLines() {
        let message: LogMessage = "Registered \("a\n[REG] b") (id: \(id: "\u{1B}[31mc"))"
        #expect(message.description == #"Registered a\x0A[REG] b (id: \x1B[31mc)"#)
        #expect(message.template == #"Registered a\x0A[REG] b (id: <id>)"#)
    }

    @Test("decimals have exactly the asked places, and never say -0")
    func decimals() {
        #expect(fixedDecimal(2.5, places: 0) == "3")
        #expect(fixedDecimal(-2.5, places: 0) == "-3")
        #expect(fixedDecimal(0.125, places: 2) == "0.13")
        #expect(fixedDecimal(1.05, places: 3) == "1.050")
        #expect(fixedDecimal(-0.001, places: 2) == "0.00")
        #expect(fixedDecimal(.nan, places: 2) == "nan")
        #expect(fixedDecimal(-.infinity, places: 2) == "-inf")
        #expect(fixedDecimal(1e300, places: 2) == "1e+300")
        #expect(trimmedDecimal(2.50, places: 2) == "2.5")
        #expect(trimmedDecimal(3, places: 2) == "3")
        #expect(trimmedDecimal(100, places: 0) == "100")
    }

    @Test(
        "byte counts are read with the suffixes of powers of 1024",
        arguments: [
            ("65536", 65536), ("64k", 65536), ("64KB", 65536), ("64KiB", 65536), ("1.5MiB", 1_572_864), ("1G", 1 << 30),
            ("2t", 2 << 40), ("0", 0), ("512B", 512), ("9007199254740993", 9_007_199_254_740_993),
        ])
    func byteCounts(_ text: String, _ count: Int) {
        #expect(parseByteCount(text) == count)
    }

    @Test(
        "byte counts refuse the rest",
        arguments: ["", "k", "-1", "+1", "1kk", "1x", "1e3", ".", "1..5k", "9999999999t", "1 k", "٣", "NaN", "inf"])
    func noByteCounts(_ text: String) {
        #expect(parseByteCount(text) == nil)
    }

    @Test("byte counts are printed for people")
    func byteCountTexts() {
        #expect(byteCountText(512) == "512 B")
        #expect(byteCountText(4200) == "4.1 KiB")
        #expect(byteCountText(1 << 30) == "1.0 GiB")
        #expect(byteCountText((1 << 20) - 1) == "1.0 MiB")
        #expect(byteCountText(.max) == "8.0 EiB")
    }

    @Test("bytes are appended as decimal text")
    func decimalBytes() {
        for number in [0, 9, 10, 99, 1_000_000, -1, -10, .max, .min] {
            var bytes: [UInt8] = Array("x".utf8)
            bytes.append(decimal: number)
            #expect(String(decoding: bytes, as: UTF8.self) == "x\(number)")
        }
    }
}

@Suite("Suggestions")
struct SuggestionTests {
    @Test("the distance counts insertions, deletions, replacements and swaps, without regard to case")
    func distance() {
        #expect(editDistance("kill", "kill") == 0)
        #expect(editDistance("kil", "kill") == 1)
        #expect(editDistance("klil", "kill") == 1)
        #expect(editDistance("KILL", "kill") == 0)
        #expect(editDistance("", "abc") == 3)
        #expect(editDistance("kitten", "sitting") == 3)
    }

    @Test("the distance is a symmetric measure that never exceeds the longer word")
    func distanceProperties() {
        var random = SeededRandom(seed: 11)
        func word() -> String { String((0..<random.below(7)).map { _ in "abc".randomElement(using: &random)! }) }
        for _ in 0..<2000 {
            let (a, b) = (word(), word())
            let distance = editDistance(a, b)
            #expect(distance == editDistance(b, a))
            #expect(distance <= max(a.count, b.count) && distance >= abs(a.count - b.count))
            #expect((distance == 0) == (a == b))
        }
    }

    @Test("the nearest candidate is offered, and none when nothing is near")
    func nearest() {
        let commands = ["kill", "jobs", "inject", "nodes"]
        #expect(didYouMean("kil", among: commands) == "; did you mean kill?")
        #expect(suggestion(for: "inj", among: commands) == "inject")
        #expect(suggestion(for: "nodse", among: commands) == "nodes")
        #expect(didYouMean("xyzzy", among: commands) == "")
        #expect(suggestion(for: "k", among: [String]()) == nil)
        #expect(suggestion(for: "ab", among: ["aa", "bb"]) == "aa", "ties go to the first")
    }
}

@Suite("Log messages")
struct LogMessageTests {
    @Test("print their arguments, and make holes of those that differ from run to run")
    func template() {
        let port: UInt16 = 8082
        let message: LogMessage =
            "Backend \(port: port) at \(address: .loopback) took \(LabDuration.milliseconds(12)) (\(3) failures, \(share: 0.5)) id \(id: "ab12") \("word")"
        #expect("\(message)" == "Backend 8082 at 127.0.0.1 took 12ms (3 failures, 50.0%) id ab12 word")
        #expect(message.template == "Backend 8082 at <ip> took <dur> (3 failures, <pct>) id <id> word")
        #expect(LogLine(tag: "LB", message: "Removed \(port: port)").text == "[LB] Removed 8082")
        let timed: LogMessage = "at \(time: .documentedEpoch)"
        #expect(timed.template == "at <ts>" && "\(timed)" == "at 2023-12-20T15:00:00Z")
    }

    @Test("are plain text without arguments")
    func plain() {
        let message: LogMessage = "nothing to see"
        #expect(message.pieces == [.text("nothing to see")])
        #expect(message.template == "nothing to see")
    }
}
