import CacheLayerEngine
import KernelStructures

/// A value of the tests.
final class Number: Sendable {
    let value: Int
    init(_ value: Int) { self.value = value }

    static let codec = CacheCodec(
        encode: { object in
            var writer = RecordWriter()
            writer.append((object as? Number)?.value ?? 0)
            return writer.bytes
        },
        decode: { bytes in
            var reader = RecordReader(bytes)
            let number = Number(try reader.integer())
            try reader.expectEnd()
            return number
        })
}

extension CacheAnswer {
    var number: Int? { (value as? Number)?.value }
}

extension LabTime {
    static func at(_ seconds: Double) -> LabTime { LabTime(nanoseconds: 0) + .seconds(seconds) }
}

/// What a layer knows of keys and values.
struct Extras {
    var tags: (@Sendable (String) -> [String])?
    var weigh: (@Sendable (any CacheObject) -> Int)?
}

func makeLayer(
    _ strategy: CacheStrategy = [.readThrough, .writeThrough], codec: CacheCodec? = nil, extras: Extras = Extras(),
    queue: WriteBehindQueue.Settings = .init(), seed: UInt64 = 1,
    _ change: (inout CacheConfiguration) -> Void = { _ in }
) -> CacheLayer {
    var configuration = CacheConfiguration(strategy: strategy, ttl: .seconds(10), jitter: 0)
    configuration.earlyExpiration = 0
    change(&configuration)
    return CacheLayer(
        configuration, codec: codec, random: SeededRandom(seed: seed), queue: queue, weigh: extras.weigh,
        tags: extras.tags)
}

extension CacheLayer {
    /// Reads, and loads from `source` where that has to be done; without a shared cache.
    mutating func get(_ key: String, now: LabTime, _ source: (String) -> Loaded) -> Result<CacheAnswer, CacheFailure>? {
        switch read(key, now: now) {
        case .hit(let found, let refresh):
            if let refresh {
                _ = begin(refresh, now: now)
                _ = proceed(refresh, .loaded(source(key)), now: now)
            }
            return .success(found)
        case .lead(let id):
            _ = begin(id, now: now)
            guard case .done(let outcome) = proceed(id, .loaded(source(key)), now: now) else { return nil }
            return outcome
        case .wait, .miss, .refused: return nil
        }
    }

    /// Writes through to `source`.
    mutating func set(_ key: String, _ value: Int?, now: LabTime, _ report: WriteReport = .stored(version: 0))
        -> Result<Void, CacheFailure>?
    {
        guard case .begin(let id) = write(key, value.map { Number($0) }, now: now) else { return nil }
        _ = beginWrite(id, now: now)
        guard case .done(let outcome) = proceedWrite(id, report, now: now) else { return nil }
        return outcome
    }
}

extension Result where Success == CacheAnswer {
    var number: Int? { (try? get())?.number }
}

/// A shared cache of which only the answers exist.
final class SharedStore {
    var entries: [String: [UInt8]] = [:]
    var tags: [String: [UInt8]] = [:]
    /// The next so many requests fail.
    var failures = 0
    var onDelete: (([String]) -> Void)?

    func ask(_ request: RemoteRequest) -> RemoteReply {
        if failures > 0 {
            failures -= 1
            return .failed("down")
        }
        switch request {
        case .get(let key, let names): return .entry(entries[key], tagWords: names.map { tags[$0] })
        case .introduce(let names, let words):
            for (name, word) in zip(names, words) where tags[name] == nil { tags[name] = word }
        case .claim(let key, let bytes, _):
            if entries[key] != nil { return .refused }
            entries[key] = bytes
        case .replace(let key, let bytes, let expected, _, let tells):
            if entries[key] != expected { return .refused }
            entries[key] = bytes
            if tells { onDelete?([key]) }
        case .set(let key, let bytes, _):
            entries[key] = bytes
            onDelete?([key])
        case .release(let key, let expected):
            if entries[key] != expected { return .refused }
            entries[key] = nil
        case .delete(let keys):
            for key in keys { entries[key] = nil }
            onDelete?(keys)
        case .setTag(let tag, let word): tags[tag] = word
        }
        return .done
    }

    func number(_ key: String) -> Int? {
        guard let bytes = entries[key], let entry = try? SharedEntry(decoding: bytes, schema: 1), !entry.isLease,
            let value = entry.value
        else { return nil }
        return (try? Number.codec.decode(value) as? Number)?.value
    }
}
