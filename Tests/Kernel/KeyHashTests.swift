import KernelStructures
import Testing

@Suite("The hash of keys")
struct KeyHashTests {
    /// Balancers of different versions must agree.
    @Test("is what it has always been")
    func golden() {
        #expect(keyHash("") == 0xE220_A839_7B1D_CDAF)
        #expect(keyHash("a") == 0x3E50_6E57_9633_5AF0)
        #expect(keyHash("/index.html") == 0x551F_06AF_B505_55D6)
        #expect(keyHash("12345678") == 0x8217_7327_E1E4_DAAC)
    }

    /// The definition, byte by byte.
    private func reference(_ bytes: [UInt8]) -> UInt64 {
        var hash = mixed(UInt64(bytes.count) &+ 0x9E37_79B9_7F4A_7C15)
        var rest = bytes[...]
        while !rest.isEmpty {
            hash = mixed(hash ^ rest.prefix(8).enumerated().reduce(0) { $0 | UInt64($1.element) << ($1.offset * 8) })
            rest = rest.dropFirst(8)
        }
        return hash
    }

    @Test("is the same for a buffer, a slice anywhere and a text", arguments: 0...40)
    func forms(_ count: Int) {
        var random = SeededRandom(seed: UInt64(count))
        for offset in 0..<9 {
            let bytes = (0..<count).map { _ in UInt8(97 + random.below(26)) }
            let slice = (Array(repeating: 1, count: offset) + bytes + [2, 3])[offset..<offset + count]
            #expect(keyHash(slice) == reference(bytes))
            #expect(keyHash(String(decoding: bytes, as: UTF8.self)) == reference(bytes))
        }
    }

    @Test("has no collisions among lengths, single bits and names that resemble each other")
    func collisions() {
        var hashes: Set<UInt64> = []
        var count = 0
        func add(_ bytes: [UInt8]) {
            hashes.insert(keyHash(bytes[...]))
            count += 1
        }
        for length in 0..<100 { add(Array(repeating: 0, count: length)) }
        for bit in 0..<800 {
            var bytes = [UInt8](repeating: 0, count: 100)
            bytes[bit / 8] = 1 << (bit % 8)
            add(bytes)
            // Differences in the upper bits of two groups, which a weaker step would let cancel each other.
            for other in 0..<bit where bit % 64 > 60 && other % 32 > 28 {
                bytes[other / 8] ^= 1 << (other % 8)
                add(bytes)
                bytes[other / 8] ^= 1 << (other % 8)
            }
        }
        for number in 0..<20_000 {
            add(Array("/users/\(number)".utf8))
            add(Array("/users/\(number)/profile?page=1".utf8))
        }
        #expect(hashes.count == count)
    }

    @Test("changes half of its bits when one bit of the key changes")
    func avalanche() {
        for length in [1, 7, 8, 9, 31] {
            var flips = [Int](repeating: 0, count: 64)
            var trials = 0
            for seed in 0..<300 as Range<UInt64> {
                var random = SeededRandom(seed: seed)
                var bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                let before = keyHash(bytes[...])
                for _ in 0..<10 {
                    let bit = random.below(length * 8)
                    bytes[bit / 8] ^= 1 << (bit % 8)
                    let difference = keyHash(bytes[...]) ^ before
                    bytes[bit / 8] ^= 1 << (bit % 8)
                    for index in 0..<64 where difference >> UInt64(index) & 1 == 1 { flips[index] += 1 }
                    trials += 1
                }
            }
            // 3000 coins: a standard deviation of 27, six of them for 64 places and five lengths.
            #expect(flips.allSatisfy { abs($0 - trials / 2) < 165 }, "\(length): \(flips)")
        }
    }
}
