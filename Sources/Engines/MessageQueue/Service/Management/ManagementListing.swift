import KernelHosting
import KernelJSON
import KernelRegularExpressions

/// What a client may ask of every list: some of the members, an order, a page.
struct ManagementListing {
    private var columns: [[Substring]] = []
    private var sort: [Substring] = []
    private var isReversed = false
    private var page: (number: Int, size: Int)?
    private var name: String?
    private var pattern: RegularExpression?

    private static let pageSizeLimit = 500

    /// - Throws: `HTTPProblem` 400 for a page that cannot be.
    init(_ call: ManagementAPI.Call) throws {
        if let text = call.option("columns"), !text.isEmpty {
            columns = text.split(separator: ",").map { $0.split(separator: ".") }
        }
        sort = (call.option("sort") ?? "").split(separator: ".")
        isReversed = call.option("sort_reverse") == "true"
        name = call.option("name").flatMap { $0.isEmpty ? nil : $0 }
        if let name, call.option("use_regex") == "true" {
            do { pattern = try RegularExpression(name) } catch {
                throw ManagementAPI.problem(400, "bad_request", "name: \(error)")
            }
        }
        guard let text = call.option("page") else { return }
        guard let number = Int(text), number > 0, number < 1 << 40 else {
            throw ManagementAPI.problem(400, "page_out_of_range", "page: '\(text)' is no page")
        }
        let size = call.option("page_size").map { Int($0) ?? 0 } ?? 100
        guard (1...Self.pageSizeLimit).contains(size) else {
            throw ManagementAPI.problem(400, "bad_request", "page_size: 1 to \(Self.pageSizeLimit)")
        }
        page = (number, size)
    }

    func apply(to elements: [JSONValue]) throws -> JSONValue {
        var chosen = elements.filter(fits)
        if !sort.isEmpty {
            chosen = chosen.enumerated().sorted { one, other in
                let (a, b) = (Self.value(one.element, sort[...]), Self.value(other.element, sort[...]))
                if Self.isBefore(a, b) { return !isReversed }
                if Self.isBefore(b, a) { return isReversed }
                return one.offset < other.offset
            }.map(\.element)
        }
        guard let page else { return .array(chosen.map(shown)) }
        let pages = max(1, (chosen.count + page.size - 1) / page.size)
        guard page.number <= pages else {
            throw ManagementAPI.problem(400, "page_out_of_range", "page \(page.number) of \(pages)")
        }
        let items = chosen.dropFirst((page.number - 1) * page.size).prefix(page.size).map(shown)
        return [
            "filtered_count": .integer(chosen.count), "item_count": .integer(items.count), "items": .array(items),
            "page": .integer(page.number), "page_count": .integer(pages), "page_size": .integer(page.size),
            "total_count": .integer(elements.count),
        ]
    }

    private func fits(_ element: JSONValue) -> Bool {
        guard let name else { return true }
        guard case .string(let own)? = element["name"] else { return false }
        return pattern.map { $0.matches(own) } ?? own.contains(name)
    }

    private static func value(_ element: JSONValue, _ path: ArraySlice<Substring>) -> JSONValue? {
        guard let first = path.first else { return element }
        return element[String(first)].flatMap { value($0, path.dropFirst()) }
    }

    private static func isBefore(_ a: JSONValue?, _ b: JSONValue?) -> Bool {
        switch (a, b) {
        case (nil, .some): true
        case (.integer(let a)?, .integer(let b)?): a < b
        case (.string(let a)?, .string(let b)?): a < b
        case (.number(let a)?, .number(let b)?): a < b
        case (.bool(let a)?, .bool(let b)?): !a && b
        default: false
        }
    }

    private func shown(_ element: JSONValue) -> JSONValue { columns.isEmpty ? element : Self.part(element, columns) }

    /// Only the members that these paths lead to.
    private static func part(_ element: JSONValue, _ paths: [[Substring]]) -> JSONValue {
        guard case .object(let members) = element else { return element }
        return .object(
            members.compactMap { key, value in
                let mine = paths.filter { $0.first.map(String.init) == key }.map { Array($0.dropFirst()) }
                if mine.isEmpty { return nil }
                return (key, mine.contains { $0.isEmpty } ? value : part(value, mine))
            })
    }
}
