import KernelCryptography
import KernelRedis
import KernelStructures
import KernelWire

/// The meta commands: `mg`, `ms`, `md` and `ma`, whose flags ask for what is wanted.
///
/// They are memcached's answer to the stampede. When a popular item is gone, or about to go, a thousand clients would
/// load it at the same moment. Here one of them is told "you won" (`W`) and loads it; the others are told that somebody
/// has (`Z`), and get the old value as long as there is one (`X`: it is stale).
///
/// | flag of `mg` | |
/// |---|---|
/// | `N30` | where nothing is, an empty item is made for 30 seconds, and whoever asked has won |
/// | `R30` | whoever asks first when less than 30 seconds are left has won |
/// | `md key I` | does not delete but makes stale; whoever asks first then has won |
extension Memcached {
    /// The flags of a request: each a letter, some with a token behind it.
    struct Flags {
        private var tokens: [(letter: UInt8, token: ArraySlice<UInt8>)] = []

        /// nil for one that stands there twice, or is no letter.
        init?(_ words: ArraySlice<[UInt8]>) {
            for word in words {
                guard let letter = word.first, Self.isLetter(letter), !tokens.contains(where: { $0.letter == letter })
                else { return nil }
                tokens.append((letter, word.dropFirst()))
            }
        }

        private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte & 0xDF) }

        func has(_ letter: Character) -> Bool { tokens.contains { $0.letter == letter.asciiValue } }
        func token(_ letter: Character) -> ArraySlice<UInt8>? {
            tokens.first { $0.letter == letter.asciiValue }?.token
        }
        var inOrder: [(letter: UInt8, token: ArraySlice<UInt8>)] { tokens }
    }

    func meta(_ name: String, _ words: [[UInt8]], _ data: [UInt8], _ reply: inout [UInt8]) {
        guard words.count > 1, let flags = Flags(words[(name == "ms" ? min(3, words.count) : 2)...]),
            let key = key(words[1], flags)
        else { return say(Self.badLine, &reply) }
        for letter in "TNREC" where flags.has(letter) {
            let token = Array(flags.token(letter) ?? [])
            let isNumber = letter == "E" || letter == "C" ? Self.unsigned(token) != nil : Self.number(token) != nil
            guard isNumber else { return say("CLIENT_ERROR bad token in command line format", &reply) }
        }
        key.withUnsafeBytes { key in
            switch name {
            case "mg": metaGet(key, words[1], flags, &reply)
            case "ms": metaSet(key, words[1], flags, data, &reply)
            case "md": metaDelete(key, words[1], flags, &reply)
            default: metaAdd(key, words[1], flags, &reply)
            }
        }
    }

    /// The key of a request; it may be written in base64.
    private func key(_ word: [UInt8], _ flags: Flags) -> [UInt8]? {
        guard flags.has("b") else { return Self.isKey(word) ? word : nil }
        guard let key = Base64.standard.decode(word), !key.isEmpty, key.count <= Self.keyByteLimit else { return nil }
        return key
    }

    private func seconds(_ flags: Flags, _ letter: Character) -> Int? {
        flags.token(letter).flatMap { Self.number(Array($0)) }
    }

    // MARK: Answers

    /// What the flags ask for of an item, in their order.
    private func fields(_ id: ItemID, _ word: [UInt8], _ flags: Flags, _ reply: inout [UInt8]) {
        let item = cache.slab[id].pointee
        for (letter, token) in flags.inOrder {
            switch UnicodeScalar(letter) {
            case "c": reply.append(utf8: " c\(item.version)")
            case "f": reply.append(utf8: " f\(item.clientFlags)")
            case "h": reply.append(utf8: item.marks.contains(.fetched) ? " h1" : " h0")
            case "l": reply.append(utf8: " l\(cache.clockSeconds &- item.accessedAt)")
            case "s": reply.append(utf8: " s\(item.valueCount)")
            case "t": reply.append(utf8: item.expiry == 0 ? " t-1" : " t\(max(0, item.expiry - cache.now) / 1000)")
            default: echo(letter, token, word, flags, &reply)
            }
        }
    }

    /// What is only repeated: the key, and whatever the client wants to recognize the answer by.
    private func echo(
        _ letter: UInt8, _ token: ArraySlice<UInt8>, _ word: [UInt8], _ flags: Flags, _ reply: inout [UInt8]
    ) {
        switch UnicodeScalar(letter) {
        case "k": reply.append(contentsOf: Array(" k".utf8) + word)
        case "O": reply.append(contentsOf: Array(" O".utf8) + token)
        case "b" where flags.has("k"): reply.append(utf8: " b")
        default: break
        }
    }

    private func answer(_ code: String, _ word: [UInt8], _ flags: Flags, _ reply: inout [UInt8]) {
        reply.append(utf8: code)
        for (letter, token) in flags.inOrder { echo(letter, token, word, flags, &reply) }
        say("", &reply)
    }

    // MARK: Commands

    private func metaGet(_ key: Bytes, _ word: [UInt8], _ flags: Flags, _ reply: inout [UInt8]) {
        counts.gets += 1
        var id = item(key)
        var hasWon = false
        if id == 0 {
            guard let seconds = seconds(flags, "N"), let expiry = end(seconds) else {
                if !flags.has("q") { say("EN", &reply) }
                return
            }
            id = put(key, [], flags: 0, expiry: expiry)
            cache.slab[id].pointee.marks.insert(.isWon)
            hasWon = true
        } else {
            counts.hits += 1
            hasWon = wins(id, flags)
        }
        if let seconds = seconds(flags, "T"), let expiry = end(seconds) { setEnd(id, key, expiry) }
        let item = cache.slab[id].pointee
        reply.append(utf8: flags.has("v") ? "VA \(item.valueCount)" : "HD")
        fields(id, word, flags, &reply)
        if hasWon { reply.append(utf8: " W") }
        if item.marks.contains(.stale) { reply.append(utf8: " X") }
        if !hasWon, item.marks.contains(.isWon) { reply.append(utf8: " Z") }
        say("", &reply)
        if flags.has("v") {
            reply.append(contentsOf: item.value)
            say("", &reply)
        }
        cache.slab[id].pointee.marks.insert(.fetched)
    }

    /// Whether this client is the one to load the item anew.
    private func wins(_ id: ItemID, _ flags: Flags) -> Bool {
        let item = cache.slab[id].pointee
        if item.marks.contains(.isWon) { return false }
        var isDue = item.marks.contains(.stale)
        if let seconds = seconds(flags, "R"), item.expiry != 0 {
            isDue = isDue || (item.expiry - cache.now) / 1000 < seconds
        }
        if isDue { cache.slab[id].pointee.marks.insert(.isWon) }
        return isDue
    }

    /// Whether the number that a client has compared with is the item's. One that is lower makes what comes stale, if
    /// the client said so (`I`).
    private enum Comparison { case same, stale, other }

    private func compare(_ id: ItemID, _ flags: Flags) -> Comparison {
        guard let token = flags.token("C"), let unique = Self.unsigned(token) else { return .same }
        let version = cache.slab[id].pointee.version
        if unique == version { return .same }
        return flags.has("I") && unique < version ? .stale : .other
    }

    private func metaSet(_ key: Bytes, _ word: [UInt8], _ flags: Flags, _ data: [UInt8], _ reply: inout [UInt8]) {
        counts.sets += 1
        let id = item(key)
        let mode = flags.token("M")?.first.map { $0 & 0xDF } ?? UInt8(ascii: "S")
        var isStale = false
        if flags.has("C") {
            if id == 0 { return answer("NF", word, flags, &reply) }
            switch compare(id, flags) {
            case .same: break
            case .stale: isStale = true
            case .other: return answer("EX", word, flags, &reply)
            }
        }
        let expiry = seconds(flags, "T").flatMap(end) ?? 0
        let clientFlags = flags.token("F").flatMap(Self.unsigned).flatMap(UInt32.init(exactly:)) ?? 0
        var stored = id
        switch UnicodeScalar(mode) {
        case "S": stored = put(key, data, flags: clientFlags, expiry: expiry)
        case "E" where id == 0, "R" where id != 0: stored = put(key, data, flags: clientFlags, expiry: expiry)
        case "A" where id != 0, "P" where id != 0:
            guard join(id, key, data, isAppending: mode == UInt8(ascii: "A")) else {
                return say("SERVER_ERROR object too large for cache", &reply)
            }
        case "A" where flags.has("N"), "P" where flags.has("N"):
            stored = put(key, data, flags: clientFlags, expiry: seconds(flags, "N").flatMap(end) ?? 0)
        case "E", "R", "A", "P": return answer("NS", word, flags, &reply)
        default: return say("CLIENT_ERROR invalid mode for ms request", &reply)
        }
        if isStale { cache.slab[stored].pointee.marks.insert(.stale) }
        if let token = flags.token("E"), let unique = Self.unsigned(token) {
            cache.slab[stored].pointee.version = unique
        }
        if flags.has("q") { return }
        reply.append(utf8: "HD")
        fields(stored, word, flags, &reply)
        say("", &reply)
    }

    private func metaDelete(_ key: Bytes, _ word: [UInt8], _ flags: Flags, _ reply: inout [UInt8]) {
        let id = item(key)
        if id == 0 {
            if !flags.has("q") { answer("NF", word, flags, &reply) }
            return
        }
        guard compare(id, flags) == .same else { return answer("EX", word, flags, &reply) }
        counts.deletes += 1
        if flags.has("I") {
            if let seconds = seconds(flags, "T"), let expiry = end(seconds) { setEnd(id, key, expiry) }
            cache.slab[id].pointee.marks.insert(.stale)
            cache.slab[id].pointee.marks.remove(.isWon)
            cache.touch(id, key)
        } else if flags.has("x") {
            put(key, [], flags: 0, expiry: cache.slab[id].pointee.expiry)
        } else if cache.delete(key) {
            deleted(key)
        }
        if !flags.has("q") { answer("HD", word, flags, &reply) }
    }

    private func metaAdd(_ key: Bytes, _ word: [UInt8], _ flags: Flags, _ reply: inout [UInt8]) {
        let mode = flags.token("M")?.first.map(UnicodeScalar.init) ?? "I"
        guard "IiDd+-".unicodeScalars.contains(mode) else {
            return say("CLIENT_ERROR invalid mode for ma request", &reply)
        }
        guard let amount = flags.has("D") ? flags.token("D").flatMap(Self.unsigned) : 1 else {
            return say("CLIENT_ERROR invalid numeric delta argument", &reply)
        }
        var id = item(key)
        if id == 0 {
            guard let seconds = seconds(flags, "N"), let expiry = end(seconds) else {
                if !flags.has("q") { answer("NF", word, flags, &reply) }
                return
            }
            let initial = flags.token("J").flatMap(Self.unsigned) ?? 0
            id = put(key, Array("\(initial)".utf8), flags: 0, expiry: expiry)
        } else {
            guard compare(id, flags) == .same else { return answer("EX", word, flags, &reply) }
            guard add(id, key, amount, isUp: "Ii+".unicodeScalars.contains(mode)) != nil else {
                return say("CLIENT_ERROR cannot increment or decrement non-numeric value", &reply)
            }
            id = item(key)
            if let seconds = seconds(flags, "T"), let expiry = end(seconds) { setEnd(id, key, expiry) }
        }
        if flags.has("q") { return }
        let value = Array(cache.slab[id].pointee.value)
        reply.append(utf8: flags.has("v") ? "VA \(value.count)" : "HD")
        fields(id, word, flags, &reply)
        say("", &reply)
        if flags.has("v") {
            reply += value
            say("", &reply)
        }
    }
}
