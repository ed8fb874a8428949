import KernelHosting
import KernelJSON
import KernelStructures
import ShortenerEngine

/// Tells of clicks that somebody has seen (`X-Click-Id`, an id a line) which are in the books.
struct SeenClicks {
    unowned let host: ShortenerHost

    /// Ids in one question.
    static let idLimit = 100_000
    private static let lifeLimit = 100_000
    private static let runLimit = 1_000_000

    /// - Throws: 413 for too many of them.
    func answer(_ exchange: HTTPExchange) throws(HTTPProblem) {
        let lines = exchange.body.split { $0 == 10 || $0 == 13 }.map(Self.trimmed).filter { !$0.isEmpty }
        guard lines.count <= Self.idLimit else {
            throw HTTPProblem(413, "there are more than \(Self.idLimit) ids", remedy: "send them in parts")
        }
        host.clicks.flush { [host] _ in
            host.database.run(Self.questions) { result in
                switch result {
                case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
                case .success(let answers): exchange.answer(json: report(lines, Self.books(answers)))
                }
            }
        }
    }

    private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var line = line.drop { $0 == 32 || $0 == 9 }
        while let last = line.last, last == 32 || last == 9 { line.removeLast() }
        return line
    }

    private static var questions: [LinkStatement] {
        [
            LinkStatement(
                "SELECT node, life, book, began_at, synced_at, ended_at, ending FROM url_lives "
                    + "ORDER BY node, life DESC LIMIT \(lifeLimit)"),
            LinkStatement("SELECT name, segment, place FROM url_positions"),
            LinkStatement("SELECT book, low, high FROM url_runs ORDER BY book, low LIMIT \(runLimit)"),
        ]
    }

    private static func books(_ answers: [LinkRows]) -> ClickBooks {
        var positions: [String: ClickPosition] = [:]
        for row in answers[1] {
            positions[row[0].text ?? ""] = ClickPosition(segment: row[1].integer ?? 0, offset: row[2].integer ?? 0)
        }
        var books = ClickBooks()
        // The life that came after it, on the same node.
        var next: (node: String, life: Int)?
        for row in answers[0] {
            guard let node = row[0].text, let life = row[1].integer else { continue }
            let isClosed =
                if let next, next.node == node, let position = positions[node] {
                    position >= ClickPosition(segment: next.life, offset: 0)
                } else { false }
            next = (node, life)
            guard let number = row[2].integer, let beganAt = row[3].time, let syncedAt = row[4].time else { continue }
            books.add(
                ClickBooks.Book(
                    node: node, beganAt: beganAt, syncedAt: syncedAt, endedAt: row[5].time,
                    endedWithoutWord: row[6].text == LifeBook.Ending.unannounced.rawValue, isClosed: isClosed),
                number: UInt64(truncatingIfNeeded: number))
        }
        for row in answers[2] {
            let numbers = row.map { UInt64(truncatingIfNeeded: $0.integer ?? 0) }
            books.add(run: numbers[1], numbers[2], of: numbers[0])
        }
        return books
    }

    private func report(_ lines: [ArraySlice<UInt8>], _ books: ClickBooks) -> JSONValue {
        var (countedCount, waitingCount) = (0, 0)
        var missing: [JSONValue] = []
        var unknown: [JSONValue] = []
        for line in lines {
            // What is no id may be anything; what is printed of it is not.
            let text = String(decoding: line.prefix(80), as: UTF8.self)
            let name = host.clicks.seal.name(line)
            switch name.map(books.fate) ?? .unknown {
            case .counted: countedCount += 1
            case .waiting: waitingCount += 1
            case .unknown: unknown.append(.string(text))
            case .missing(let isPromised):
                missing.append(Self.missing(text, books[name?.book ?? 0], isPromised))
            }
        }
        return [
            "seen": .integer(lines.count), "in_books": .integer(countedCount), "missing": .integer(missing.count),
            "waiting": .integer(waitingCount), "unknown": .integer(unknown.count),
            "missing_clicks": .array(missing), "unknown_ids": .array(unknown),
        ]
    }

    private static func missing(_ id: String, _ book: ClickBooks.Book?, _ isPromised: Bool) -> JSONValue {
        [
            "id": .string(id), "node": .string(book?.node ?? ""), "since": LinkAPI.json(book?.syncedAt),
            "until": LinkAPI.json(book?.endedAt), "within_window": .bool(isPromised),
        ]
    }
}
