import KernelStructures
import KernelWire

/// The commands of the text protocol.
extension Memcached {
    /// `get key…`, `gets key…`
    func get(_ words: [[UInt8]], from first: Int, withCas: Bool, expiry: Int?, _ reply: inout [UInt8]) {
        guard words.count > first else { return say("ERROR", &reply) }
        guard words[first...].allSatisfy(Self.isKey) else { return say(Self.badLine, &reply) }
        let start = reply.count
        for word in words[first...] {
            guard reply.count - start < Self.answerByteLimit else {
                return say("SERVER_ERROR out of memory writing get response", &reply)
            }
            counts.gets += 1
            word.withUnsafeBytes { key in
                let id = item(key)
                guard id != 0 else { return }
                counts.hits += 1
                if let expiry {
                    counts.touches += 1
                    setEnd(id, key, expiry)
                }
                cache.slab[id].pointee.marks.insert(.fetched)
                let found = cache.slab[id].pointee
                reply.append(utf8: "VALUE ")
                reply.append(contentsOf: key)
                reply.append(utf8: " \(found.clientFlags) \(found.valueCount)")
                if withCas { reply.append(utf8: " \(found.version)") }
                say("", &reply)
                reply.append(contentsOf: found.value)
                say("", &reply)
            }
        }
        say("END", &reply)
    }

    /// `gat exptime key…`
    func getAndTouch(_ words: [[UInt8]], withCas: Bool, _ reply: inout [UInt8]) {
        guard words.count > 2 else { return say("ERROR", &reply) }
        guard let seconds = Self.number(words[1]), let expiry = end(seconds) else {
            return say("CLIENT_ERROR invalid exptime argument", &reply)
        }
        get(words, from: 2, withCas: withCas, expiry: expiry, &reply)
    }

    /// `set key flags exptime bytes`, and `cas` with a number behind
    func store(_ name: String, _ words: [[UInt8]], _ data: [UInt8], _ reply: inout [UInt8]) {
        let isCas = name == "cas"
        guard words.count == (isCas ? 6 : 5), Self.isKey(words[1]),
            let flags = Self.unsigned(words[2]).flatMap(UInt32.init(exactly:)), let seconds = Self.number(words[3]),
            let expiry = end(seconds)
        else { return say(Self.badLine, &reply) }
        counts.sets += 1
        words[1].withUnsafeBytes { key in
            let id = item(key)
            if isCas {
                guard let unique = Self.unsigned(words[5]) else { return say(Self.badLine, &reply) }
                if id == 0 { return say("NOT_FOUND", &reply) }
                if cache.slab[id].pointee.version != unique { return say("EXISTS", &reply) }
            }
            switch name {
            case "add" where id != 0, "replace" where id == 0, "append" where id == 0, "prepend" where id == 0:
                return say("NOT_STORED", &reply)
            case "append", "prepend":
                guard join(id, key, data, isAppending: name == "append") else {
                    return say("SERVER_ERROR object too large for cache", &reply)
                }
            default: put(key, data, flags: flags, expiry: expiry)
            }
            say("STORED", &reply)
        }
    }

    /// Puts bytes behind or before a value. False if it would be too long.
    func join(_ id: ItemID, _ key: Bytes, _ data: [UInt8], isAppending: Bool) -> Bool {
        let item = cache.slab[id].pointee
        guard Int(item.valueCount) + data.count <= cache.settings.stringByteLimit else { return false }
        let value = isAppending ? Array(item.value) + data : data + Array(item.value)
        put(key, value, flags: item.clientFlags, expiry: item.expiry)
        return true
    }

    /// `delete key [0]`
    func delete(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        guard words.count == 2 || words.count == 3 && words[2] == [48], Self.isKey(words[1]) else {
            let usage = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"
            return say(words.count < 2 ? "ERROR" : usage, &reply)
        }
        words[1].withUnsafeBytes { key in
            guard item(key) != 0, cache.delete(key) else { return say("NOT_FOUND", &reply) }
            counts.deletes += 1
            deleted(key)
            say("DELETED", &reply)
        }
    }

    /// `incr key amount`
    func add(_ words: [[UInt8]], isUp: Bool, _ reply: inout [UInt8]) {
        guard words.count == 3 else { return say("ERROR", &reply) }
        guard Self.isKey(words[1]) else { return say(Self.badLine, &reply) }
        guard let amount = Self.unsigned(words[2]) else {
            return say("CLIENT_ERROR invalid numeric delta argument", &reply)
        }
        words[1].withUnsafeBytes { key in
            let id = item(key)
            if id == 0 { return say("NOT_FOUND", &reply) }
            guard let sum = add(id, key, amount, isUp: isUp) else {
                return say("CLIENT_ERROR cannot increment or decrement non-numeric value", &reply)
            }
            say("\(sum)", &reply)
        }
    }

    /// Beyond 64 bits it begins at zero again; below zero it stays there. nil if the value is no number.
    func add(_ id: ItemID, _ key: Bytes, _ amount: UInt64, isUp: Bool) -> UInt64? {
        let item = cache.slab[id].pointee
        guard let number = Self.unsigned(item.value) else { return nil }
        let sum = isUp ? number &+ amount : number < amount ? 0 : number - amount
        put(key, Array("\(sum)".utf8), flags: item.clientFlags, expiry: item.expiry)
        return sum
    }

    /// `touch key exptime`
    func touch(_ words: [[UInt8]], _ reply: inout [UInt8]) {
        guard words.count == 3, Self.isKey(words[1]) else { return say("ERROR", &reply) }
        guard let seconds = Self.number(words[2]), let expiry = end(seconds) else {
            return say("CLIENT_ERROR invalid exptime argument", &reply)
        }
        words[1].withUnsafeBytes { key in
            let id = item(key)
            if id == 0 { return say("NOT_FOUND", &reply) }
            counts.touches += 1
            setEnd(id, key, expiry)
            say("TOUCHED", &reply)
        }
    }

    /// A new end, 0 for never; the item stays what it is.
    func setEnd(_ id: ItemID, _ key: Bytes, _ expiry: Int) {
        cache.setExpiry(id, expiry)
        changed(id, key, "expire")
    }
}
