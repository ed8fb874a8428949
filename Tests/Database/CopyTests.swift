import KernelClock
import KernelStructures
import KernelWire
import Testing

@testable import DatabaseEngine

/// The formats of COPY: what PostgreSQL 15 writes and takes.
@Suite struct CopyTests {
    private func read(_ text: String, _ format: CopyFormat, names: [String] = ["a", "b"]) throws -> [[String?]] {
        var reader = CopyReader(format, columnNames: names)
        reader.append(Array(text.utf8))
        reader.finish()
        var rows: [[String?]] = []
        while let row = try reader.next() { rows.append(row.map { $0.map { String(decoding: $0, as: UTF8.self) } }) }
        return rows
    }

    private var csv: CopyFormat {
        var format = CopyFormat()
        format.kind = .csv
        format.delimiter = UInt8(ascii: ",")
        format.null = ""
        return format
    }

    private func line(_ fields: [String?], _ format: CopyFormat) -> String {
        var writer = CopyWriter(format)
        writer.begin(fields.count)
        for field in fields { if let field { writer.field(Array(field.utf8)) } else { writer.null() } }
        return String(decoding: writer.end(), as: UTF8.self)
    }

    @Test func textIsEscapedAsPostgreSQLDoes() throws {
        #expect(line(["a\tb", "c\\d\n\r\u{8}\u{c}\u{b}"], CopyFormat()) == "a\\tb\tc\\\\d\\n\\r\\b\\f\\v\n")
        #expect(line([nil, ""], CopyFormat()) == "\\N\t\n")
        #expect(try read("\\N\t\\x41\\102\\.\n\\.\nignored\n", CopyFormat()) == [[nil, "AB."]])
        #expect(try read("a\\\nb\tc\r\nd\te", CopyFormat()) == [["a\nb", "c"], ["d", "e"]])
        #expect(try read("\n", CopyFormat()) == [[""]])
    }

    @Test func csvIsQuotedWhereItMust() throws {
        #expect(line(["a,b", "say \"x\""], csv) == "\"a,b\",\"say \"\"x\"\"\"\n")
        #expect(line([nil, ""], csv) == ",\"\"\n")
        #expect(line(["\\.", "x\ny"], csv) == "\"\\.\",\"x\ny\"\n")
        #expect(try read(",\"\"\n\"a\nb\",c\"d,e\"f\r\n", csv) == [[nil, ""], ["a\nb", "cd,ef"]])
        #expect { try self.read("\"a", self.csv) } throws: {
            ($0 as? PostgresError)?.sqlState == .badCopyFileFormat
        }
    }

    @Test func headersAreSkippedOrCompared() throws {
        var format = csv
        format.header = .present
        #expect(try read("x,y\n1,2\n", format) == [["1", "2"]])
        format.header = .matching
        #expect(try read("a,b\n1,2\n", format) == [["1", "2"]])
        #expect { try self.read("a,c\n1,2\n", format) } throws: {
            ($0 as? PostgresError)?.message
                == "column name mismatch in header line field 2: got \"c\", expected \"b\""
        }
        #expect(String(decoding: CopyWriter(format).opening(["a", "b c"]), as: UTF8.self) == "a,b c\n")
    }

    @Test("what is written is read again, in any pieces", arguments: [CopyFormat.Kind.text, .csv, .binary])
    func roundTrip(kind: CopyFormat.Kind) throws {
        var random = SeededRandom(seed: 7)
        for round in 0..<300 {
            var format = kind == .csv ? csv : CopyFormat()
            format.kind = kind
            if kind == .csv, random.chance(0.3) { format.escape = UInt8(ascii: "\\") }
            let alphabet = Array("ab\\\"',\t\n\r\u{8}.N x".utf8)
            let rows: [[[UInt8]?]] = (0..<random.below(5)).map { _ in
                (0..<2).map { _ in
                    random.chance(0.2) ? nil : (0..<random.below(8)).map { _ in alphabet[random.below(alphabet.count)] }
                }
            }
            var bytes = CopyWriter(format).opening(["a", "b"])
            for row in rows {
                var writer = CopyWriter(format)
                writer.begin(row.count)
                for field in row { if let field { writer.field(field) } else { writer.null() } }
                bytes += writer.end()
            }
            if kind == .binary { bytes += CopyWriter.binaryTrailer }
            var reader = CopyReader(format, columnNames: ["a", "b"])
            var found: [[[UInt8]?]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(1 + random.below(9))
                rest = rest.dropFirst(piece.count)
                reader.append(Array(piece))
                while let row = try reader.next() { found.append(row) }
            }
            reader.finish()
            while let row = try reader.next() { found.append(row) }
            #expect(found == rows, "round \(round): \(String(decoding: bytes, as: UTF8.self))")
        }
    }

    @Test(
        "a long row that comes in small pieces is looked through once",
        arguments: [CopyFormat.Kind.text, .csv, .binary])
    func longRows(kind: CopyFormat.Kind) throws {
        var format = kind == .csv ? csv : CopyFormat()
        format.kind = kind
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 8 << 20)
        var writer = CopyWriter(format)
        writer.begin(2)
        for _ in 0..<2 { writer.field(long) }
        let bytes = CopyWriter(format).opening(["a", "b"]) + writer.end()
        var reader = CopyReader(format, columnNames: ["a", "b"])
        var rows: [[[UInt8]?]] = []
        let began = HostClock.threadProcessorTime
        for start in stride(from: 0, to: bytes.count, by: 1 << 10) {
            reader.append(Array(bytes[start..<min(bytes.count, start + 1 << 10)]))
            while let row = try reader.next() { rows.append(row) }
        }
        #expect(rows == [[long, long]])
        // Again from the row's start with each piece it would be minutes.
        #expect(HostClock.threadProcessorTime - began < .seconds(30))
    }

    @Test func anythingIsRowsOrATypedError() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<2000 {
            var format = random.chance(0.5) ? csv : CopyFormat()
            if random.chance(0.3) { format.kind = .binary }
            var bytes = format.kind == .binary ? CopyWriter(format).opening([]) : []
            bytes += (0..<random.below(60)).map { _ in
                UInt8(truncatingIfNeeded: random.next() % 7 == 0 ? 34 : random.next())
            }
            var reader = CopyReader(format, columnNames: ["a"])
            reader.append(bytes)
            reader.finish()
            var byteCount = 0
            do {
                while let row = try reader.next() { byteCount += row.reduce(0) { $0 + ($1?.count ?? 0) } }
            } catch {
                #expect(error.sqlState.category == "22" || error.sqlState.category == "54")
            }
            #expect(byteCount <= bytes.count)
        }
    }
}
