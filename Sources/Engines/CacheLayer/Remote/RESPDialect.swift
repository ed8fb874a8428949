import KernelStructures

/// A reply of a RESP server, as far as the layer looks at it. Whoever brings a client of Redis translates into this.
public enum RESPReply: Equatable, Sendable {
    case null
    case bytes([UInt8])
    case integer(Int)
    case array([RESPReply])
    /// With its code: `LOADING …`.
    case error(String)
}

/// What the layer asks, in the words of Redis: `GET`, `MGET`, `SET … NX PX`, `DEL`, and `WATCH`, `MULTI`, `EXEC` for
/// what must happen at once or not at all. Any server that has these will do; there are no scripts and no modules.
///
/// A `replace` takes two trips on a connection that nobody else uses in between: WATCH and GET, then, if it is what was
/// expected, MULTI, SET and EXEC, which does nothing if anybody has touched the key since.
///
/// Other processes hear of changes by PUBLISH (`channel`), or the server tells whoever has read a key (`CLIENT
/// TRACKING`): then nothing is published, and `readsBack` says whether what is written has to be read as well.
public struct RESPDialect: Sendable {
    /// In front of the keys of tags.
    public var tagPrefix = "tag:"
    /// Where it is told which keys are gone; nil where nobody is told.
    public var channel: String?

    /// Who says it there: one's own words are no news.
    public var origin: String

    /// Whether a key is read in the same transaction in which it is written (`CLIENT TRACKING ON NOLOOP`): the server
    /// forgets all readers of a key that is written, the writer among them, and would not tell him of the next change.
    public var readsBack = false

    public init(channel: String? = nil, origin: String = "", readsBack: Bool = false) {
        self.channel = channel
        self.origin = origin
        self.readsBack = readsBack
    }

    /// Commands that are sent together.
    public typealias Commands = [[[UInt8]]]

    /// What is to be sent first.
    public func commands(for request: RemoteRequest) -> Commands {
        switch request {
        case .get(let key, let tags):
            return tags.isEmpty ? [["GET", key].words] : [(["MGET", key] + tags.map(tagKey)).words]
        case .introduce(let tags, let words):
            return zip(tags, words).map { tag, word in ["SET", tagKey(tag)].words + [word] + ["NX"].words }
        case .claim(let key, let bytes, let ttl):
            return [["SET", key].words + [bytes] + ["NX", "PX", Self.milliseconds(ttl)].words]
        case .replace(let key, _, _, _, _), .release(let key, _):
            return [["UNWATCH"].words, ["WATCH", key].words, ["GET", key].words]
        case .set(let key, let bytes, let ttl):
            let set = ["SET", key].words + [bytes] + ["PX", Self.milliseconds(ttl)].words
            if readsBack { return [["UNWATCH"].words] + atOnce([set] + told([key]) + readBack(key)) }
            return [set] + told([key])
        case .delete(let keys): return [(["DEL"] + keys).words] + told(keys)
        case .setTag(let tag, let word):
            return [["SET", tagKey(tag)].words + [word]] + told([tag], "tag")
        }
    }

    /// Whether it takes two trips on a connection that nobody else uses in between.
    public func needsOwnConnection(_ request: RemoteRequest) -> Bool {
        switch request {
        case .replace, .release: true
        // A transaction, which must not be taken for the one that somebody else's WATCH belongs to.
        case .set: readsBack
        default: false
        }
    }

    /// What comes of the replies: an answer, or more to be sent.
    public enum Next: Equatable, Sendable {
        case reply(RemoteReply)
        case send(Commands)
    }

    /// - Parameter isSecondTrip: whether these are the replies to `Next.send`.
    public func next(_ request: RemoteRequest, _ replies: [RESPReply], isSecondTrip: Bool = false) -> Next {
        if case .error(let text)? = replies.first(where: \.isError) { return .reply(.failed(text)) }
        if isSecondTrip {
            // EXEC answers null where somebody has touched the key.
            return .reply(replies.last == .null ? .refused : .done)
        }
        switch request {
        case .get(_, let tags): return .reply(Self.entry(replies.first, tagCount: tags.count))
        case .claim: return .reply(replies.first == .null ? .refused : .done)
        case .replace(let key, let bytes, let expected, let ttl, let tells):
            guard replies.count == 3, replies[2].content == expected else { return .reply(.refused) }
            let set = ["SET", key].words + [bytes] + ["PX", Self.milliseconds(ttl)].words
            return .send(atOnce([set] + (tells ? told([key]) : []) + readBack(key)))
        case .release(let key, let expected):
            guard replies.count == 3, replies[2].content == expected else { return .reply(.refused) }
            return .send(atOnce([["DEL", key].words]))
        case .set where replies.last == .null: return .reply(.failed("the server has not carried out a transaction"))
        case .introduce, .set, .delete, .setTag: return .reply(.done)
        }
    }

    private static func entry(_ reply: RESPReply?, tagCount: Int) -> RemoteReply {
        switch reply {
        case .array(let values)? where values.count == tagCount + 1:
            return .entry(values[0].content, tagWords: values.dropFirst().map(\.content))
        case .null?, .bytes?:
            return tagCount == 0 ? .entry(reply?.content, tagWords: []) : .failed("not an answer to MGET")
        default: return .failed("not an answer to GET")
        }
    }

    private func tagKey(_ tag: String) -> String { tagPrefix + tag }

    private func told(_ names: [String], _ kind: String = "key") -> Commands {
        guard let channel else { return [] }
        return names.map { ["PUBLISH", channel, "\(kind) \(origin) \($0)"].words }
    }

    private func atOnce(_ commands: Commands) -> Commands { [["MULTI"].words] + commands + [["EXEC"].words] }

    /// The cheapest command that counts as reading.
    private func readBack(_ key: String) -> Commands { readsBack ? [["EXISTS", key].words] : [] }

    /// What a connection begins with so that the server tells on it, in RESP3, which keys have changed.
    ///
    /// - Parameters:
    ///   - keyPrefix: of the layer's keys.
    ///   - isBroadcasting: of all keys with that prefix, read or not: the server remembers nothing, and says more.
    public func tracking(keyPrefix: String, isBroadcasting: Bool) -> Commands {
        var words = ["CLIENT", "TRACKING", "ON"]
        if isBroadcasting {
            words.append("BCAST")
            let tags = tagPrefix + keyPrefix
            // No prefix means all keys; and none may begin with another.
            let prefixes = keyPrefix.isEmpty ? [] : tags.hasPrefix(keyPrefix) ? [keyPrefix] : [keyPrefix, tags]
            for prefix in prefixes { words += ["PREFIX", prefix] }
        }
        return [["HELLO", "3"].words, (words + ["NOLOOP"]).words]
    }

    /// What the server says by naming a key that is no longer what it was.
    public func notice(ofKey key: String) -> Notice {
        key.hasPrefix(tagPrefix) ? .tag(String(key.dropFirst(tagPrefix.count))) : .key(key)
    }

    /// What another process has said on the channel.
    public enum Notice: Equatable, Sendable { case key(String), tag(String) }

    /// nil for what makes no sense, and for one's own words.
    public func notice(_ text: String) -> Notice? {
        let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[1] != origin else { return nil }
        switch parts[0] {
        case "key": return .key(String(parts[2]))
        case "tag": return .tag(String(parts[2]))
        default: return nil
        }
    }

    /// At least one, because no server takes 0; at most what they all take.
    static func milliseconds(_ ttl: LabDuration) -> String {
        String(min(max(1, ttl.nanoseconds / 1_000_000), 1 << 52))
    }
}

extension RESPReply {
    fileprivate var isError: Bool { if case .error = self { true } else { false } }
    /// The bytes of a string; nil for anything else.
    fileprivate var content: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }
}

extension [String] {
    fileprivate var words: [[UInt8]] { map { [UInt8]($0.utf8) } }
}
