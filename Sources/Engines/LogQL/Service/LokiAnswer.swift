import KernelJSON
import LogModelEngine
import LogQLEngine
import PromQLEngine
import TimeSeriesEngine

/// Results in Loki's shapes.
enum LokiAnswer {
    /// - Parameter warnings: what the answer does without.
    static func bytes(
        of result: LogQLResult, seconds: Double, isCategorized: Bool, warnings: [String] = []
    ) -> [UInt8] {
        var out = Array("{\"status\":\"success\",".utf8)
        if !warnings.isEmpty {
            out += "\"warnings\":".utf8
            JSONValue.array(warnings.map { .string($0) }).write(to: &out)
            out += ",".utf8
        }
        out += "\"data\":{\"resultType\":".utf8
        switch result.value {
        case .lines(let entries):
            out += "\"streams\",".utf8
            if isCategorized { out += encodingFlags.utf8 }
            out += "\"result\":[".utf8
            for (index, stream) in streams(entries).enumerated() {
                out += (index == 0 ? "\n" : ",\n").utf8
                write(stream, to: &out)
            }
            out += "]".utf8
        case .numbers(let value): write(value, to: &out)
        }
        out += ",\"stats\":".utf8
        statistics(result.statistics, seconds).write(to: &out)
        out += "}}\n".utf8
        return out
    }

    // MARK: Lines

    /// What tells clients that lines have their own labels beside them.
    static let encodingFlags = "\"encodingFlags\":[\"\(LokiRequest.categorizeLabels)\"],"

    /// By labels, in their order; each stream's lines in the order that was asked for.
    static func streams(_ entries: [LogQLEntry]) -> [(labels: Labels, entries: [LogQLEntry])] {
        var places: [Labels: Int] = [:]
        var streams: [(labels: Labels, entries: [LogQLEntry])] = []
        for entry in entries {
            if let place = places[entry.labels] {
                streams[place].entries.append(entry)
            } else {
                places[entry.labels] = streams.count
                streams.append((entry.labels, [entry]))
            }
        }
        return streams.sorted { $0.labels < $1.labels }
    }

    static func write(_ stream: (labels: Labels, entries: [LogQLEntry]), to out: inout [UInt8]) {
        out += "{\"stream\":".utf8
        stream.labels.json.write(to: &out)
        out += ",\"values\":[".utf8
        for (index, entry) in stream.entries.enumerated() {
            out += (index == 0 ? "[\"" : ",[\"").utf8
            out += String(entry.timestamp).utf8
            out += "\",".utf8
            JSONValue.string(entry.text).write(to: &out)
            if let parts = entry.parts {
                out += ",".utf8
                write(parts, to: &out)
            }
            out += "]".utf8
        }
        out += "]}".utf8
    }

    /// An object without what is empty, as Loki has it.
    private static func write(_ parts: LogQLEntry.Parts, to out: inout [UInt8]) {
        var members: [(key: String, value: JSONValue)] = []
        if !parts.metadata.isEmpty { members.append(("structuredMetadata", parts.metadata.json)) }
        if !parts.parsed.isEmpty { members.append(("parsed", parts.parsed.json)) }
        JSONValue.object(members).write(to: &out)
    }

    // MARK: Numbers

    private static func write(_ value: QueryValue, to out: inout [UInt8]) {
        switch value {
        case .scalar(let time, let number):
            out += "\"scalar\",\"result\":".utf8
            point(time, number).write(to: &out)
        case .string: out += "\"string\",\"result\":null".utf8
        case .vector(let elements):
            out += "\"vector\",\"result\":[".utf8
            for (index, element) in elements.enumerated() {
                out += (index == 0 ? "\n" : ",\n").utf8
                let item: JSONValue = ["metric": element.labels.json, "value": point(element.timestamp, element.value)]
                item.write(to: &out)
            }
            out += "]".utf8
        case .matrix(let series):
            out += "\"matrix\",\"result\":[".utf8
            for (index, one) in series.enumerated() {
                out += (index == 0 ? "\n" : ",\n").utf8
                let points = one.samples.map { point($0.timestamp, $0.value) }
                let item: JSONValue = ["metric": one.labels.json, "values": .array(points)]
                item.write(to: &out)
            }
            out += "]".utf8
        }
    }

    /// Seconds, and the number as a text.
    private static func point(_ milliseconds: Int64, _ value: Double) -> JSONValue {
        let time: JSONValue =
            milliseconds % 1000 == 0
            ? .integer(Int(milliseconds / 1000)) : .number(Double(milliseconds) / 1000)
        return [time, .string(sampleText(value))]
    }

    // MARK: Statistics

    /// Loki's `stats`, with the lab's own `index` beside it: which chunks were left out, and why.
    static func statistics(_ statistics: LogQLStatistics, _ seconds: Double) -> JSONValue {
        let source = statistics.source
        let chunk: JSONValue = [
            "headChunkBytes": 0, "headChunkLines": 0, "decompressedBytes": .integer(source.lineBytes),
            "decompressedLines": .integer(source.lines), "compressedBytes": .integer(source.storedBytesRead),
            "totalDuplicates": 0, "postFilterLines": .integer(statistics.linesPassed),
        ]
        let store: JSONValue = [
            "totalChunksRef": .integer(source.chunks), "totalChunksDownloaded": .integer(source.chunksRead),
            "chunksDownloadTime": 0, "chunk": chunk,
        ]
        return [
            "summary": [
                "bytesProcessedPerSecond": .integer(perSecond(source.lineBytes, seconds)),
                "linesProcessedPerSecond": .integer(perSecond(source.lines, seconds)),
                "totalBytesProcessed": .integer(source.lineBytes), "totalLinesProcessed": .integer(source.lines),
                "execTime": .number(seconds), "queueTime": 0, "subqueries": 0, "splits": 0, "shards": 0,
                "totalEntriesReturned": .integer(statistics.entriesReturned),
                "totalPostFilterLines": .integer(statistics.linesPassed),
                "totalStructuredMetadataBytesProcessed": 0,
            ],
            "querier": ["store": store],
            "ingester": [
                "totalReached": 1, "totalChunksMatched": .integer(source.chunksInMemory), "totalBatches": 0,
                "totalLinesSent": 0,
            ],
            "index": [
                "streams": .integer(source.streams), "chunks": .integer(source.chunks),
                "skippedByTime": .integer(source.skippedByTime), "skippedByLabel": .integer(source.skippedByLabel),
                "skippedByIndex": .integer(source.skippedByIndex), "chunksRead": .integer(source.chunksRead),
                "chunksInMemory": .integer(source.chunksInMemory),
                "storedBytesRead": .integer(source.storedBytesRead),
                "indexBytesRead": .integer(source.indexBytesRead),
            ],
        ]
    }

    private static func perSecond(_ count: Int, _ seconds: Double) -> Int {
        seconds > 0 ? Int(min(9e15, Double(count) / seconds)) : 0
    }
}
