import ShellLanguage

/// An array of the shell: elements by number, or by any text.
struct ShellArray: Equatable {
    let isAssociative: Bool
    private var elements: [String: String] = [:]
    /// Numbers in their order, or texts in the order in which they came.
    private var numbers: [Int] = []
    private var texts: [String] = []
    private(set) var byteCount = 0

    init(isAssociative: Bool = false) { self.isAssociative = isAssociative }

    init(_ values: [String]) {
        self.init()
        for (index, value) in values.enumerated() { self[String(index)] = value }
    }

    var count: Int { elements.count }
    var keys: [String] { isAssociative ? texts : numbers.map(String.init) }
    var values: [String] { keys.compactMap { elements[$0] } }
    /// The number behind the highest. Nothing has `lastKey`, so there is one.
    var end: Int { numbers.last.map { $0 &+ 1 } ?? 0 }
    static let lastKey = String(Int.max)

    subscript(key: String) -> String? {
        get { elements[key] }
        set {
            let old = elements[key]
            byteCount +=
                (newValue.map { $0.utf8.count + key.utf8.count } ?? 0)
                - (old.map { $0.utf8.count + key.utf8.count } ?? 0)
            elements[key] = newValue
            guard (old == nil) != (newValue == nil) else { return }
            if isAssociative {
                if newValue == nil { texts.removeAll { $0 == key } } else { texts.append(key) }
                return
            }
            guard let number = Int(key) else { return }
            // Most elements come behind all others.
            var place = numbers.last.map { $0 < number } ?? true ? numbers.count : 0
            if place == 0 { place = numbers.firstIndex { $0 >= number } ?? numbers.count }
            if newValue == nil {
                numbers.remove(at: numbers.firstIndex(of: number) ?? place)
            } else {
                numbers.insert(number, at: place)
            }
        }
    }
}

/// What a name stands for.
enum ShellValue: Equatable {
    case text(String)
    case array(ShellArray)
}

/// What `declare` says of a name.
struct VariableAttributes: OptionSet {
    let rawValue: Int
    static let readOnly = VariableAttributes(rawValue: 1)
    static let integer = VariableAttributes(rawValue: 2)
    static let upper = VariableAttributes(rawValue: 4)
    static let lower = VariableAttributes(rawValue: 8)
    static let exported = VariableAttributes(rawValue: 16)
}

/// `(a b [5]=c)`, expanded.
typealias ArrayElements = [(key: String?, value: String)]
