import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var sortCommands: [CacheCommand] {
        [
            CacheCommand(
                "sort", -2, [.write, .denyOutOfMemory, .movableKeys], .sort, group: "generic",
                "Sorts a list, a set or a sorted set"
            ) { cache, words, reply throws(CacheError) in
                try Sorting.run(cache, words, try Sorting.Options(words, mayStore: true), &reply)
            },
            CacheCommand(
                "sort_ro", -2, [.readOnly, .movableKeys], group: "generic", "Sorts a list, a set or a sorted set"
            ) { cache, words, reply throws(CacheError) in
                try Sorting.run(cache, words, try Sorting.Options(words, mayStore: false), &reply)
            },
        ]
    }
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC | DESC] [ALPHA] [STORE destination]`
enum Sorting {
    struct Options {
        fileprivate var by: [UInt8]?
        fileprivate var offset = 0
        fileprivate var limit = -1
        fileprivate var gets: [[UInt8]] = []
        fileprivate var isDescending = false
        fileprivate var isByText = false
        fileprivate var destination: Int?

        init(_ words: RESPArguments, mayStore: Bool) throws(CacheError) {
            var index = 2
            while index < words.count {
                let left = words.count - index - 1
                if words.isWord(index, "ASC") {
                    isDescending = false
                } else if words.isWord(index, "DESC") {
                    isDescending = true
                } else if words.isWord(index, "ALPHA") {
                    isByText = true
                } else if left >= 2, words.isWord(index, "LIMIT") {
                    offset = try words.number(index + 1)
                    limit = try words.number(index + 2)
                    index += 2
                } else if left >= 1, words.isWord(index, "BY") {
                    by = words.bytes(index + 1)
                    index += 1
                } else if left >= 1, words.isWord(index, "GET") {
                    gets.append(words.bytes(index + 1))
                    index += 1
                } else if mayStore, left >= 1, words.isWord(index, "STORE") {
                    destination = index + 1
                    index += 1
                } else {
                    throw .syntax
                }
                index += 1
            }
        }

        /// A pattern without a star sorts nothing.
        fileprivate var sorts: Bool { by.map { $0.contains(UInt8(ascii: "*")) } ?? true }
    }

    private struct Row {
        let element: [UInt8]
        var number = 0.0
        var text: [UInt8]?
    }

    static func run(_ cache: Cache, _ words: RESPArguments, _ options: Options, _ reply: inout RESPWriter)
        throws(CacheError)
    {
        var rows = try elements(cache, words[1], options).map { Row(element: $0) }
        if options.sorts {
            try weigh(cache, &rows, options)
            rows.sort { precedes($0, $1, options) }
        }
        let start = min(max(0, options.offset), rows.count)
        let count = options.limit < 0 ? rows.count - start : min(options.limit, rows.count - start)
        var output: [[UInt8]?] = []
        for row in rows[start..<start + count] {
            if options.gets.isEmpty { output.append(row.element) }
            for pattern in options.gets { output.append(fetch(cache, pattern, row.element)) }
        }
        guard let destination = options.destination else {
            reply.array(output.count)
            for value in output { if let value { reply.bulk(value) } else { reply.null() } }
            return
        }
        let list = CacheList()
        for value in output { list.append(value ?? []) }
        let hadAny = cache.replace(words[destination], with: list)
        if list.count > 0 {
            cache.notify(.list, "sortstore", words[destination])
            cache.ready(words[destination])
        } else if hadAny {
            cache.notify(.generic, "del", words[destination])
        }
        reply.integer(list.count)
    }

    private static func elements(_ cache: Cache, _ key: Bytes, _ options: Options) throws(CacheError) -> [[UInt8]] {
        let id = cache.reading(key)
        if id == 0 { return [] }
        var found: [[UInt8]] = []
        switch cache.slab[id].pointee.kind {
        case .list:
            if let list = try cache.object(id, CacheList.self) { found = (0..<list.count).map { list[$0] } }
        case .set: try cache.object(id, CacheSet.self)?.forEach { found.append($0) }
        case .sortedSet:
            try cache.object(id, CacheSortedSet.self)?.forEach { found.append($0.member) }
            if !options.sorts, options.isDescending { found.reverse() }
        case .string, .hash: throw .wrongType
        }
        return found
    }

    private static func weigh(_ cache: Cache, _ rows: inout [Row], _ options: Options) throws(CacheError) {
        for index in rows.indices {
            let weight = options.by.map { fetch(cache, $0, rows[index].element) } ?? rows[index].element
            if options.isByText {
                rows[index].text = weight
            } else if let weight {
                guard let number = weight.withUnsafeBytes({ Decimals.loose($0) }) else {
                    throw .text("ERR One or more scores can't be converted into double")
                }
                rows[index].number = number
            }
        }
    }

    private static func precedes(_ a: Row, _ b: Row, _ options: Options) -> Bool {
        if options.isByText {
            // What is not there comes first.
            let (x, y) = options.isDescending ? (b.text, a.text) : (a.text, b.text)
            if let x, let y, x != y { return isBefore(x, y) }
            if (x == nil) != (y == nil) { return x == nil }
        } else if a.number != b.number {
            return (a.number < b.number) != options.isDescending
        }
        if a.element == b.element { return false }
        return isBefore(a.element, b.element) != options.isDescending
    }

    /// What a pattern leads to: `#` is the element itself, `name_*` a key, `name_*->field` a field of a hash.
    private static func fetch(_ cache: Cache, _ pattern: [UInt8], _ element: [UInt8]) -> [UInt8]? {
        if pattern == [UInt8(ascii: "#")] { return element }
        guard let star = pattern.firstIndex(of: UInt8(ascii: "*")) else { return nil }
        var rest = pattern[(star + 1)...]
        var field: ArraySlice<UInt8>?
        if let arrow = rest.indices.dropLast().first(where: { rest[$0] == 45 && rest[$0 + 1] == 62 }),
            arrow + 2 < rest.endIndex
        {
            field = rest[(arrow + 2)...]
            rest = rest[..<arrow]
        }
        let key = pattern[..<star] + element + rest
        return key.withUnsafeBytes { key in
            let id = cache.reading(key)
            if id == 0 { return nil }
            let item = cache.slab[id]
            if let field {
                guard item.pointee.kind == .hash else { return nil }
                let hash = unsafeDowncast(item.pointee.object, to: CacheHash.self)
                return field.withUnsafeBytes { hash[$0] }
            }
            return item.pointee.kind == .string ? Array(item.pointee.value) : nil
        }
    }
}
