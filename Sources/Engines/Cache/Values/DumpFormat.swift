import KernelStructures

/// Which form a value has in a dump (Redis, `rdb.h`).
enum DumpType: UInt8 {
    case string = 0, list = 1, set = 2, sortedSetText = 3, hash = 4, sortedSet = 5
    case integerSet = 11, hashListpack = 16, sortedSetListpack = 17, quicklist = 18
}

/// Writes dumps in the plain forms, which every Redis since 4.0 reads.
struct DumpWriter {
    private var bytes: [UInt8] = []

    mutating func type(_ type: DumpType) { bytes.append(type.rawValue) }

    /// Six bits, fourteen, thirty-two or sixty-four; the first two say how many.
    mutating func length(_ count: Int) {
        if count < 64 {
            bytes.append(UInt8(count))
        } else if count < 16_384 {
            bytes.append(0x40 | UInt8(count >> 8))
            bytes.append(UInt8(count & 0xFF))
        } else {
            bytes.append(0x81)
            withUnsafeBytes(of: UInt64(count).bigEndian) { bytes.append(contentsOf: $0) }
        }
    }

    mutating func string(_ value: [UInt8]) {
        length(value.count)
        bytes += value
    }

    mutating func double(_ value: Double) {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// With the version of the format, and a checksum of everything.
    mutating func finish() -> [UInt8] {
        bytes += [UInt8(DumpReader.version & 0xFF), UInt8(DumpReader.version >> 8)]
        let sum = DumpChecksum.of(bytes)
        withUnsafeBytes(of: sum.littleEndian) { bytes.append(contentsOf: $0) }
        return bytes
    }
}

/// CRC-64 with the polynomial of Jones, reflected, that begins with 0: "123456789" has e9c6d914c4b8d9ca.
enum DumpChecksum {
    private static let table: [UInt64] = (0..<256).map { byte in
        (0..<8).reduce(UInt64(byte)) { sum, _ in sum & 1 == 0 ? sum >> 1 : sum >> 1 ^ 0x95AC_9329_AC4B_C9B5 }
    }

    static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0) { sum, byte in table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ sum >> 8 }
    }
}

/// Reads dumps, of this cache and of Redis. Whatever the bytes are: nothing is believed that is not there, and a length
/// that was announced reserves no memory.
struct DumpReader {
    enum Value {
        case string([UInt8])
        case object(CacheValue)
    }

    /// Of Redis 7.0. Newer ones are refused.
    static let version = 10

    private let bytes: ArraySlice<UInt8>
    private var place: Int
    private let cache: Cache

    init(_ payload: [UInt8], cache: Cache) {
        bytes = payload.dropLast(10)
        place = bytes.startIndex
        self.cache = cache
    }

    static func isIntact(_ payload: [UInt8]) -> Bool {
        guard payload.count > 10 else { return false }
        let end = payload.count - 10
        guard Int(payload[end]) | Int(payload[end + 1]) << 8 <= version else { return false }
        var sum: UInt64 = 0
        for byte in payload.suffix(8).reversed() { sum = sum << 8 | UInt64(byte) }
        return sum == 0 || sum == DumpChecksum.of(payload.dropLast(8))
    }

    mutating func value() -> Value? {
        guard let type = byte().flatMap(DumpType.init) else { return nil }
        let value: Value?
        switch type {
        case .string: value = string().map { .string($0) }
        case .list: value = list().map { .object($0) }
        case .set: value = set().map { .object($0) }
        case .hash: value = hash().map { .object($0) }
        case .sortedSet, .sortedSetText: value = sortedSet(isText: type == .sortedSetText).map { .object($0) }
        case .integerSet: value = integerSet().map { .object($0) }
        case .hashListpack: value = hashListpack().map { .object($0) }
        case .sortedSetListpack: value = sortedSetListpack().map { .object($0) }
        case .quicklist: value = quicklist().map { .object($0) }
        }
        if case .object(let object) = value, object.count == 0 { return nil }
        return place == bytes.endIndex ? value : nil
    }

    // MARK: Parts

    private mutating func byte() -> UInt8? {
        guard place < bytes.endIndex else { return nil }
        defer { place += 1 }
        return bytes[place]
    }

    private mutating func take(_ count: Int) -> [UInt8]? {
        guard count >= 0, count <= bytes.endIndex - place else { return nil }
        defer { place += count }
        return Array(bytes[place..<place + count])
    }

    private mutating func number(_ byteCount: Int, bigEndian: Bool) -> UInt64? {
        guard let taken = take(byteCount) else { return nil }
        return (bigEndian ? taken : taken.reversed()).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private enum Length { case plain(Int), special(UInt8) }

    private mutating func lengthOrSpecial() -> Length? {
        guard let first = byte() else { return nil }
        switch first >> 6 {
        case 0: return .plain(Int(first))
        case 1: return byte().map { .plain(Int(first & 0x3F) << 8 | Int($0)) }
        case 3: return .special(first & 0x3F)
        default:
            guard first == 0x80 || first == 0x81 else { return nil }
            return number(first == 0x80 ? 4 : 8, bigEndian: true).flatMap { Int(exactly: $0) }.map { .plain($0) }
        }
    }

    private mutating func length() -> Int? {
        guard case .plain(let count) = lengthOrSpecial() else { return nil }
        return count
    }

    /// Bytes as they are, a number of one, two or four bytes, or compressed.
    private mutating func string() -> [UInt8]? {
        switch lengthOrSpecial() {
        case .plain(let count): return take(count)
        case .special(0): return number(1, bigEndian: false).map { Self.digits(Int(Int8(truncatingIfNeeded: $0))) }
        case .special(1): return number(2, bigEndian: false).map { Self.digits(Int(Int16(truncatingIfNeeded: $0))) }
        case .special(2): return number(4, bigEndian: false).map { Self.digits(Int(Int32(truncatingIfNeeded: $0))) }
        case .special(3):
            guard let packed = length(), let count = length(), let data = take(packed) else { return nil }
            return Listpack.unpack(data, count, limit: cache.settings.stringByteLimit)
        case .special, nil: return nil
        }
    }

    private static func digits(_ number: Int) -> [UInt8] { Array(String(number).utf8) }

    // MARK: Objects

    private mutating func list() -> CacheList? {
        guard let count = length() else { return nil }
        let list = CacheList()
        for _ in 0..<count {
            guard let element = string() else { return nil }
            list.append(element)
        }
        return list
    }

    private mutating func set() -> CacheSet? {
        guard let count = length() else { return nil }
        let set = cache.makeSet()
        for _ in 0..<count {
            guard let member = string(), set.insert(member) else { return nil }
        }
        return set
    }

    private mutating func hash() -> CacheHash? {
        guard let count = length() else { return nil }
        let hash = cache.makeHash()
        for _ in 0..<count {
            guard let field = string(), let value = string(),
                field.withUnsafeBytes({ hash.set($0, value) })
            else { return nil }
        }
        return hash
    }

    private mutating func sortedSet(isText: Bool) -> CacheSortedSet? {
        guard let count = length() else { return nil }
        let set = cache.makeSortedSet()
        for _ in 0..<count {
            guard let member = string(), let score = isText ? textScore() : binaryScore(), !score.isNaN,
                set.set(member, score) == nil
            else { return nil }
        }
        return set
    }

    private mutating func binaryScore() -> Double? { number(8, bigEndian: false).map { Double(bitPattern: $0) } }

    private mutating func textScore() -> Double? {
        switch byte() {
        case 253: return .nan
        case 254: return .infinity
        case 255: return -.infinity
        case let count?: return take(Int(count)).flatMap { $0.withUnsafeBytes { Decimals.read($0) } }
        case nil: return nil
        }
    }

    private mutating func integerSet() -> CacheSet? {
        guard let packed = string(), packed.count >= 8 else { return nil }
        let width = Int(packed[0]) | Int(packed[1]) << 8
        guard [2, 4, 8].contains(width), (packed.count - 8) % width == 0 else { return nil }
        let set = cache.makeSet()
        for start in stride(from: 8, to: packed.count, by: width) {
            let raw = packed[start..<start + width].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let shift = UInt64(64 - 8 * width)
            guard set.insert(Self.digits(Int(Int64(bitPattern: raw << shift) >> Int64(shift)))) else { return nil }
        }
        return set
    }

    private mutating func hashListpack() -> CacheHash? {
        guard let elements = string().flatMap(Listpack.elements), elements.count % 2 == 0 else { return nil }
        let hash = cache.makeHash()
        for index in stride(from: 0, to: elements.count, by: 2) {
            guard elements[index].withUnsafeBytes({ hash.set($0, elements[index + 1]) }) else { return nil }
        }
        return hash
    }

    private mutating func sortedSetListpack() -> CacheSortedSet? {
        guard let elements = string().flatMap(Listpack.elements), elements.count % 2 == 0 else { return nil }
        let set = cache.makeSortedSet()
        for index in stride(from: 0, to: elements.count, by: 2) {
            guard let score = elements[index + 1].withUnsafeBytes({ Decimals.read($0) }),
                set.set(elements[index], score) == nil
            else { return nil }
        }
        return set
    }

    /// Nodes that are one long element (1) or a listpack of several (2).
    private mutating func quicklist() -> CacheList? {
        guard let count = length() else { return nil }
        let list = CacheList()
        for _ in 0..<count {
            guard let container = length(), let node = string() else { return nil }
            if container == 1 {
                list.append(node)
            } else {
                guard container == 2, let elements = Listpack.elements(node) else { return nil }
                for element in elements { list.append(element) }
            }
        }
        return list
    }
}
