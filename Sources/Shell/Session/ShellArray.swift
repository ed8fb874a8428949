import ShellLanguage

/// An array of the shell: elements by number, or by any text.
///
/// What is taken away leaves its subscript in the order until half of that is gone, so that a loop that empties an
/// array takes time in the number of its elements, and not in its square.
struct ShellArray: Equatable {
    let isAssociative: Bool
    /// `declare -a a`, and nothing else so far.
    var isOnlyDeclared = false
    private var elements: [String: String] = [:]
    /// Numbers in their order, or texts in the order in which they came; the last of them has an element.
    private var numbers: [Int] = []
    private var texts: [String] = []
    /// Subscripts in the order that have no element any more.
    private var staleCount = 0
    private var staleTexts: Set<String> = []
    private(set) var byteCount = 0

    init(isAssociative: Bool = false) { self.isAssociative = isAssociative }

    init(_ values: [String]) {
        self.init()
        for (index, value) in values.enumerated() { self[String(index)] = value }
    }

    var count: Int { elements.count }
    var keys: [String] {
        guard !isAssociative else { return staleTexts.isEmpty ? texts : texts.filter { elements[$0] != nil } }
        let all = numbers.map(String.init)
        return staleCount == 0 ? all : all.filter { elements[$0] != nil }
    }
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
            isOnlyDeclared = false
            guard (old == nil) != (newValue == nil) else { return }
            if isAssociative {
                if newValue == nil { forget(text: key) } else if staleTexts.remove(key) == nil { texts.append(key) }
            } else if let number = Int(key) {
                if newValue == nil { forget(number) } else { note(number) }
            }
        }
    }

    /// The elements from a subscript on, as many as are wanted: `${a[@]:5:2}`.
    func slice(from start: Int, count: Int?) -> [String] {
        var result: [String] = []
        var place = self.place(of: start)
        while place < numbers.count, count.map({ result.count < $0 }) ?? true {
            if let value = elements[String(numbers[place])] { result.append(value) }
            place += 1
        }
        return result
    }

    // MARK: The order

    /// The first place whose number is not less.
    private func place(of number: Int) -> Int {
        if numbers.last.map({ $0 < number }) ?? true { return numbers.count }
        var (low, high) = (0, numbers.count)
        while low < high {
            let middle = (low + high) / 2
            if numbers[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func note(_ number: Int) {
        let place = place(of: number)
        if place < numbers.count, numbers[place] == number {
            staleCount -= 1
        } else {
            numbers.insert(number, at: place)
        }
    }

    private mutating func forget(_ number: Int) {
        staleCount += 1
        while let last = numbers.last, elements[String(last)] == nil {
            numbers.removeLast()
            staleCount -= 1
        }
        guard staleCount > 64, staleCount * 2 > numbers.count else { return }
        numbers.removeAll { elements[String($0)] == nil }
        staleCount = 0
    }

    private mutating func forget(text: String) {
        staleTexts.insert(text)
        while let last = texts.last, elements[last] == nil {
            texts.removeLast()
            staleTexts.remove(last)
        }
        guard staleTexts.count > 64, staleTexts.count * 2 > texts.count else { return }
        texts.removeAll { elements[$0] == nil }
        staleTexts = []
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
