import KernelAMQP

/// Bindings of a topic exchange as a tree of words: `*` stands for one word, `#` for any number of them.
///
/// ```
///   orders.*.paid          orders ── * ── paid
///   orders.#               orders ── #
/// ```
///
/// A key is walked down all the branches that it fits at once, one word after the other. A branch `#` can begin again
/// at every word, so walking it word by word as written would take exponential time for patterns such as `#.#.#.a`;
/// here the set of places in the tree that the key has reached is kept, each once, so a key of n words costs n times
/// the size of the tree at most.
struct TopicIndex: BindingIndex {
    private final class Place {
        let number: Int
        /// It stands behind a `#`, which may take more words and stay here.
        let isLoop: Bool
        var words: [Substring: Place] = [:]
        var anyWord: Place?
        var anyWords: Place?
        var destinations: [Destination] = []

        init(_ number: Int, isLoop: Bool = false) {
            self.number = number
            self.isLoop = isLoop
        }

        var isEmpty: Bool { words.isEmpty && anyWord == nil && anyWords == nil && destinations.isEmpty }
    }

    private let root = Place(0)
    private var placeCount = 1

    static func words(_ key: String) -> [Substring] {
        key.isEmpty ? [] : key.split(separator: ".", omittingEmptySubsequences: false)
    }

    mutating func add(_ binding: Binding) {
        var place = root
        for word in Self.words(binding.routingKey) {
            let next = child(of: place, word) ?? Place(placeCount, isLoop: word == "#")
            if next.number == placeCount { placeCount += 1 }
            switch word {
            case "*": place.anyWord = next
            case "#": place.anyWords = next
            default: place.words[Substring(String(word))] = next
            }
            place = next
        }
        place.destinations.append(binding.destination)
    }

    private func child(of place: Place, _ word: Substring) -> Place? {
        switch word {
        case "*": place.anyWord
        case "#": place.anyWords
        default: place.words[word]
        }
    }

    mutating func remove(_ binding: Binding) {
        var path: [(Place, Substring)] = []
        var place = root
        for word in Self.words(binding.routingKey) {
            guard let next = child(of: place, word) else { return }
            path.append((place, word))
            place = next
        }
        if let index = place.destinations.firstIndex(of: binding.destination) { place.destinations.remove(at: index) }
        for (parent, word) in path.reversed() {
            guard place.isEmpty else { return }
            switch word {
            case "*": parent.anyWord = nil
            case "#": parent.anyWords = nil
            default: parent.words[word] = nil
            }
            place = parent
        }
    }

    func matches(_ routingKey: String, headers: () -> AMQPTable, _ found: (Destination) -> Void) {
        var reached = Reached()
        reached.add(root)
        for word in Self.words(routingKey) {
            var next = Reached()
            for place in reached.places {
                if let child = place.words[word] { next.add(child) }
                if let child = place.anyWord { next.add(child) }
                if place.isLoop { next.add(place) }
            }
            reached = next
            if reached.places.isEmpty { return }
        }
        for place in reached.places { for destination in place.destinations { found(destination) } }
    }

    /// The places that the words so far lead to, each once.
    private struct Reached {
        private(set) var places: [Place] = []
        private var seen: Set<Int> = []

        mutating func add(_ place: Place) {
            guard seen.insert(place.number).inserted else { return }
            places.append(place)
            // `#` may stand for no word at all.
            if let behind = place.anyWords { add(behind) }
        }
    }
}
