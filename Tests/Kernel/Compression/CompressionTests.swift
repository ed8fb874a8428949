import Foundation
import KernelCompression
import KernelStructures
import TestSupport
import Testing

@Suite struct CompressionTests {
    private static func text(_ count: Int, _ random: inout SeededRandom) -> [UInt8] {
        let words = ["GET ", "/index", "200 ", "\n", "server-a ", "0123456789", "\u{1F600}"].map { Array($0.utf8) }
        var bytes: [UInt8] = []
        while bytes.count < count { bytes += words[random.below(words.count)] }
        return Array(bytes[..<count])
    }

    @Test("what is compressed comes out as it was, at every level", arguments: CompressionFormat.allCases)
    func roundTrip(format: CompressionFormat) throws {
        var random = SeededRandom(seed: 5)
        for count in [0, 1, 2, 4095, 4096, 4097, 70_000, 300_000] {
            for bytes in [randomBytes(count, seed: 3), Self.text(count, &random), [UInt8](repeating: 7, count: count)] {
                let compressed = try format.compress(bytes, level: random.below(12) - 1)
                #expect(try format.decompress(compressed, limitBytes: count) == bytes)
                #expect(compressed.count < count / 2 || count < 4096 || bytes == randomBytes(count, seed: 3))
            }
        }
    }

    @Test("snappy's blocks come out as they were, within a bound, and damage is found out or harmless")
    func snappy() throws {
        var random = SeededRandom(seed: 7)
        for count in [0, 1, 100, 65_535, 65_536, 200_000] {
            for bytes in [randomBytes(count, seed: 3), Self.text(count, &random), [UInt8](repeating: 7, count: count)] {
                let compressed = SnappyBlock.compress(bytes)
                #expect(try SnappyBlock.decompress(compressed, limitBytes: count) == bytes)
                #expect(compressed.count < count / 2 || count < 65_535 || bytes == randomBytes(count, seed: 3))
                if count > 0 {
                    #expect(throws: CompressionError.tooLarge(limitBytes: count - 1)) {
                        try SnappyBlock.decompress(compressed, limitBytes: count - 1)
                    }
                    #expect(throws: CompressionError.malformedSnappy) {
                        try SnappyBlock.decompress(Array(compressed.dropLast()), limitBytes: count)
                    }
                }
            }
        }
        for _ in 0..<2000 {
            var bytes = SnappyBlock.compress(Self.text(random.below(500), &random))
            for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            guard let plain = try? SnappyBlock.decompress(bytes, limitBytes: 1000) else { continue }
            #expect(plain.count <= 1000)
        }
        #expect(throws: CompressionError.malformedSnappy) { try SnappyBlock.decompress([], limitBytes: 10) }
    }

    @Test("pieces of any size say the same as the whole", arguments: CompressionFormat.allCases)
    func pieces(format: CompressionFormat) throws {
        var random = SeededRandom(seed: 6)
        for _ in 0..<40 {
            let bytes = Self.text(random.below(50_000), &random)
            let compressor = try Compressor(format)
            var compressed: [UInt8] = []
            var position = 0
            while position < bytes.count {
                let end = min(bytes.count, position + 1 + random.below(9_000))
                try compressor.compress(
                    Array(bytes[position..<end]), into: &compressed, random.chance(0.3) ? .block : .none)
                position = end
            }
            try compressor.compress([], into: &compressed, .end)

            let decompressor = try Decompressor(format, limitBytes: bytes.count)
            var output: [UInt8] = []
            var rest = compressed[...]
            while true {
                let piece = Array(rest.prefix(random.below(3_000)))
                let before = output.count
                let atMost = 1 + random.below(5_000)
                let used = try decompressor.decompress(piece, into: &output, atMost: atMost)
                #expect(output.count - before <= atMost)
                rest = rest.dropFirst(used)
                if rest.isEmpty, output.count - before < atMost { break }
            }
            #expect(output == bytes && decompressor.isAtEnd)
            try decompressor.finish()
        }
    }

    @Test("a block can be read before the end is there", arguments: CompressionFormat.allCases)
    func blocks(format: CompressionFormat) throws {
        let compressor = try Compressor(format)
        let decompressor = try Decompressor(format, limitBytes: 100)
        for _ in 0..<3 {
            var compressed: [UInt8] = []
            var output: [UInt8] = []
            try compressor.compress(Array("tick".utf8), into: &compressed, .block)
            try decompressor.decompress(compressed, into: &output)
            #expect(output == Array("tick".utf8))
        }
        #expect(throws: CompressionError.truncated(format)) { try decompressor.finish() }
    }

    @Test("a bomb is stopped at the limit, having cost no more", arguments: CompressionFormat.allCases)
    func bomb(format: CompressionFormat) throws {
        let bomb = try format.compress([UInt8](repeating: 0, count: 50_000_000))
        #expect(bomb.count < 60_000)
        let decompressor = try Decompressor(format, limitBytes: 10_000)
        var output: [UInt8] = []
        #expect(throws: CompressionError.tooLarge(limitBytes: 10_000)) {
            try decompressor.decompress(bomb, into: &output)
        }
        #expect(output.count == 10_000 && output.capacity < 100_000)
        #expect(throws: CompressionError.tooLarge(limitBytes: 10_000)) {
            try decompressor.decompress([], into: &output)
        }
    }

    @Test("cut anywhere it is truncated; with anything behind it, more or wrong", arguments: CompressionFormat.allCases)
    func ends(format: CompressionFormat) throws {
        let bytes = Array("hello hello hello hello".utf8)
        let whole = try format.compress(bytes)
        for count in whole.indices {
            #expect(throws: CompressionError.truncated(format)) {
                try format.decompress(Array(whole[..<count]), limitBytes: 100)
            }
        }
        if format == .gzip || format == .zstd {
            #expect(try format.decompress(whole + whole, limitBytes: 100) == bytes + bytes)
        }
        #expect(throws: CompressionError.self) { try format.decompress(whole + [1, 2, 3], limitBytes: 100) }
    }

    @Test(
        "damage is an error or, without a checksum, other bytes; never more than the limit",
        arguments: CompressionFormat.allCases)
    func fuzz(format: CompressionFormat) throws {
        var random = SeededRandom(seed: 9)
        let bytes = Self.text(3_000, &random)
        let whole = try format.compress(bytes)
        for _ in 0..<4_000 {
            var damaged = random.chance(0.1) ? randomBytes(random.below(200), seed: random.next()) : whole
            for _ in 0...random.below(3) where !damaged.isEmpty {
                let place = random.chance(0.5) ? random.below(min(20, damaged.count)) : random.below(damaged.count)
                damaged[place] = UInt8(truncatingIfNeeded: random.next())
            }
            let decompressor = try Decompressor(format, limitBytes: 100_000)
            var output: [UInt8] = []
            do throws(CompressionError) {
                try decompressor.decompress(damaged, into: &output)
                try decompressor.finish()
                // What has a checksum is whole, or says of itself that it is empty or has none.
                if format == .gzip || format == .zlib { #expect(output == bytes || output.isEmpty) }
                #expect(decompressor.isAtEnd)
            } catch {
                #expect(!error.description.isEmpty)
            }
            #expect(output.count <= 100_000)
        }
    }

    @Test("zstd that wants to look back further than 8 MiB is refused")
    func window() throws {
        // A frame header (RFC 8878 section 3.1.1.1): no content size, a window of 2^27 bytes.
        let header: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, UInt8((27 - 10) << 3), 0x01, 0x00, 0x00]
        #expect(throws: CompressionError.self) { try CompressionFormat.zstd.decompress(header, limitBytes: 100) }
    }

    @Test("the formats' own tools agree", arguments: [CompressionFormat.gzip, .zstd])
    func tools(format: CompressionFormat) throws {
        let tool = "/usr/bin/\(format.rawValue)"
        guard FileManager.default.isExecutableFile(atPath: tool) else {
            print("skipped: \(tool) is not there")
            return
        }
        var random = SeededRandom(seed: 11)
        for count in [0, 1, 100_000] {
            let bytes = Self.text(count, &random)
            #expect(try Self.run(tool, ["-dc"], try format.compress(bytes)) == bytes)
            #expect(try format.decompress(try Self.run(tool, ["-c"], bytes), limitBytes: count) == bytes)
        }
    }

    private static func run(_ tool: String, _ arguments: [String], _ input: [UInt8]) throws -> [UInt8] {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let (from, to) = (directory.appendingPathComponent("in"), directory.appendingPathComponent("out"))
        try Data(input).write(to: from)
        try Data().write(to: to)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = arguments
        process.standardInput = try FileHandle(forReadingFrom: from)
        process.standardOutput = try FileHandle(forWritingTo: to)
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return Array(try Data(contentsOf: to))
    }
}
