import Foundation
import HashRingEngine
import KernelStructures
import TestSupport
import Testing

@Suite("Hashes of keys and labels")
struct HashTests {
    /// Published: the RFCs', the reference implementations' test vectors.
    @Test(
        "known values",
        arguments: [
            (RingHash.md5, "", 0xD41D_8CD9_8F00_B204 as UInt64), (.md5, "abc", 0x9001_5098_3CD2_4FB0),
            (.sha1, "", 0xDA39_A3EE_5E6B_4B0D), (.sha1, "abc", 0xA999_3E36_4706_816A),
            (.murmur3, "", 0), (.murmur3, "hello", 0xCBD8_A7B3_41BD_9B02),
            (.xxh64, "", 0xEF46_DB37_51D8_E999), (.xxh64, "a", 0xD24E_C4F1_A98C_6E5B),
            (.fnv1a, "", 0xCBF2_9CE4_8422_2325), (.fnv1a, "foobar", 0x8594_4171_F739_67E8),
        ])
    func known(_ hash: RingHash, _ text: String, _ expected: UInt64) {
        #expect(hash.position(of: text) == expected)
    }

    /// All lengths up to 200: every number of blocks and every kind of tail.
    @Test("hashlib, mmh3 and xxhash agree on bytes of every length", .enabled(if: TestPython.canRun))
    func oracles() throws {
        let inputs = (0...200).map { randomBytes($0, seed: UInt64($0) + 1) }
        let program = """
            import sys, hashlib, mmh3, xxhash
            for line in sys.stdin:
                b = bytes.fromhex(line.strip())
                print(hashlib.md5(b).hexdigest()[:16], hashlib.sha1(b).hexdigest()[:16],
                      '%016x' % mmh3.hash64(b, signed=False)[0], xxhash.xxh64(b).hexdigest(),
                      '%016x' % mmh3.hash64(b, seed=7, signed=False)[1],
                      xxhash.xxh64(b, seed=2**63+5).hexdigest())
            """
        let lines = inputs.map { bytes in bytes.map { hexadecimal(UInt64($0), 2) }.joined() }
        let answers = try TestPython.run(program, input: lines.joined(separator: "\n") + "\n").split(separator: "\n")
        #expect(answers.count == inputs.count)
        for (bytes, answer) in zip(inputs, answers) {
            let own = bytes.withUnsafeBytes { bytes in
                [RingHash.md5, .sha1, .murmur3, .xxh64].map { $0.position(of: bytes) } + [
                    murmurHash3(bytes, seed: 7).high, xxHash64(bytes, seed: 1 << 63 + 5),
                ]
            }
            #expect(own.map { hexadecimal($0, 16) }.joined(separator: " ") == answer, "\(bytes.count) bytes")
        }
    }

    @Test("FNV-1a is the Kernel's")
    func fnv() {
        for key in randomKeys(200, seed: 1) { #expect(RingHash.fnv1a.position(of: key) == stableHash(key)) }
    }

    @Test("a ring is even by any hash but FNV-1a, whose last step does not reach the upper bits")
    func evenness() throws {
        for hash in RingHash.allCases {
            let ring = try HashRing(members(10), scheme: .labels(hash))
            let deviation = Ownership(ring).relativeDeviation
            let expected = Ownership.expectedDeviation(nodes: 10, virtualNodes: 150)
            // The deviation of a deviation of ten values is about a quarter of it.
            if hash == .fnv1a { #expect(deviation > 3 * expected) } else { #expect(deviation < 2 * expected) }
        }
    }
}
