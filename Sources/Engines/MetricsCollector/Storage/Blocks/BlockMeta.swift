import KernelJSON
import KernelStructures

/// What `meta.json` says of a block.
struct BlockMeta: Equatable {
    /// 26 letters of base 32: the time of its birth, then chance; so names sort by age.
    var ulid: String
    /// Milliseconds since 1970; the end is not part of it.
    var minTime: Int64
    var maxTime: Int64
    var sampleCount = 0
    var seriesCount = 0
    var chunkCount = 0
    var tombstoneCount = 0
    /// 1 from the head, more after compactions.
    var level = 1
    /// The blocks of level 1 that are in it.
    var sources: [String] = []
    /// The blocks that it was made of.
    var parents: [Parent] = []

    struct Parent: Equatable {
        let ulid: String
        let minTime: Int64
        let maxTime: Int64
    }

    var json: JSONValue {
        var stats: [(key: String, value: JSONValue)] = [
            ("numSamples", .integer(sampleCount)), ("numSeries", .integer(seriesCount)),
            ("numChunks", .integer(chunkCount)),
        ]
        if tombstoneCount > 0 { stats.append(("numTombstones", .integer(tombstoneCount))) }
        var compaction: [(key: String, value: JSONValue)] = [
            ("level", .integer(level)), ("sources", .array(sources.map { .string($0) })),
        ]
        if !parents.isEmpty {
            compaction.append(
                (
                    "parents",
                    .array(
                        parents.map {
                            .object([
                                ("ulid", .string($0.ulid)), ("minTime", .integer(Int($0.minTime))),
                                ("maxTime", .integer(Int($0.maxTime))),
                            ])
                        })
                ))
        }
        return .object([
            ("ulid", .string(ulid)), ("minTime", .integer(Int(minTime))), ("maxTime", .integer(Int(maxTime))),
            ("stats", .object(stats)), ("compaction", .object(compaction)), ("version", 1),
        ])
    }

    /// - Throws: `JSONError`, `JSONTypeError`.
    init(parsing bytes: [UInt8]) throws {
        let root = JSONCursor(try JSONValue(parsing: bytes))
        ulid = try root["ulid"].string()
        minTime = Int64(try root["minTime"].integer())
        maxTime = Int64(try root["maxTime"].integer())
        guard try root["version"].integer() == 1 else { throw root["version"].error("is not 1") }
        guard minTime <= maxTime, SampleTime.range.contains(minTime), SampleTime.range.contains(maxTime) else {
            throw root["maxTime"].error("is no time behind minTime")
        }
        let stats = root["stats"]
        sampleCount = try stats["numSamples"].ifPresent?.integer() ?? 0
        seriesCount = try stats["numSeries"].ifPresent?.integer() ?? 0
        chunkCount = try stats["numChunks"].ifPresent?.integer() ?? 0
        tombstoneCount = try stats["numTombstones"].ifPresent?.integer() ?? 0
        level = try root["compaction"]["level"].integer(in: 0...1000)
        for source in try root["compaction"]["sources"].ifPresent?.array() ?? [] { sources.append(try source.string()) }
        for parent in try root["compaction"]["parents"].ifPresent?.array() ?? [] {
            parents.append(
                Parent(
                    ulid: try parent["ulid"].string(), minTime: Int64(try parent["minTime"].integer()),
                    maxTime: Int64(try parent["maxTime"].integer())))
        }
    }

    init(ulid: String, minTime: Int64, maxTime: Int64) {
        self.ulid = ulid
        self.minTime = minTime
        self.maxTime = maxTime
    }
}

/// ULIDs (github.com/ulid/spec): 48 bits of milliseconds and 80 of chance in Crockford's base 32.
enum ULID {
    private static let letters = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

    static func make(milliseconds: Int64, random: inout SeededRandom) -> String {
        var text = ""
        let time = UInt64(clamping: max(0, milliseconds)) & 0xFFFF_FFFF_FFFF
        for index in 0..<10 { text.append(letters[Int(time >> UInt64(45 - 5 * index) & 31)]) }
        for _ in 0..<16 { text.append(letters[random.below(32)]) }
        return text
    }

    static func isValid(_ text: String) -> Bool { text.count == 26 && text.allSatisfy(letters.contains) }
}
