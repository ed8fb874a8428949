import KernelCryptography
import KernelStructures
import TestSupport
import Testing

@Suite struct CryptographyTests {
    @Test("blocks of FIPS 197, appendix B and C.1, one by one and together")
    func blocks() throws {
        let key = try #require(Hexadecimal.decode("2b7e151628aed2a6abf7158809cf4f3c"))
        let block = try #require(Hexadecimal.decode("3243f6a8885a308d313198a2e0370734"))
        let cipher = BlockCipher(key: key)
        let sealed = cipher.seal(block)
        #expect(Hexadecimal.encode(sealed) == "3925841d02dc09fbdc118597196a0b32" && cipher.open(sealed) == block)
        let many = cipher.seal(block + block + [UInt8](repeating: 7, count: 16))
        #expect(many.count == 48 && Array(many[16..<32]) == sealed)
        #expect(cipher.open(many).suffix(16).allSatisfy { $0 == 7 } && cipher.seal([]).isEmpty)
        let counting = BlockCipher(key: (0..<16).map { UInt8($0) })
        let plain = (0..<16).map { UInt8($0 * 0x11) }
        #expect(Hexadecimal.encode(counting.seal(plain)) == "69c4e0d86a7b0430d8cdb78070b4c55a")
    }

    /// FIPS 180-4's and RFC 1321's examples.
    @Test(
        "digests of known texts",
        arguments: [
            (MessageDigest.md5, "d41d8cd98f00b204e9800998ecf8427e", "900150983cd24fb0d6963f7d28e17f72"),
            (.sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                .sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            ),
            (
                .sha384,
                "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
            ),
            (
                .sha512,
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                    + "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                    + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
            ),
        ])
    func digests(kind: MessageDigest, ofNothing: String, ofAbc: String) {
        #expect(Hexadecimal.encode(kind.digest(of: "")) == ofNothing)
        #expect(Hexadecimal.encode(kind.digest(of: "abc")) == ofAbc)
        let stream = MessageDigestStream(kind)
        for _ in 0..<2 {
            for byte in "abc".utf8 { stream.update([byte]) }
            #expect(Hexadecimal.encode(stream.finish()) == ofAbc, "and the stream begins anew")
        }
        #expect(kind.digest(of: "").count == kind.byteCount)
    }

    /// RFC 4231 sections 4.2 to 4.7: keys shorter and longer than a block.
    @Test("HMAC of known messages")
    func authentication() {
        let cases: [([UInt8], [UInt8], String)] = [
            (
                [UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                [UInt8](repeating: 0xAA, count: 131),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
        ]
        for (key, message, code) in cases {
            #expect(Hexadecimal.encode(MessageAuthentication.code(of: message, key: key)) == code)
            #expect(MessageAuthentication.isValid(Hexadecimal.decode(code)!, of: message, key: key))
            #expect(!MessageAuthentication.isValid(Hexadecimal.decode(code)!, of: message + [0], key: key))
        }
        let sha512 = MessageAuthentication.code(of: Array("Hi There".utf8), key: cases[0].0, .sha512)
        #expect(Hexadecimal.encode(sha512).hasPrefix("87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec278"))
        // The published code of nothing under nothing; a key given before must not be remembered.
        #expect(
            Hexadecimal.encode(MessageAuthentication.code(of: [], key: []))
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    @Test("comparison in constant time")
    func comparison() {
        #expect(isEqualInConstantTime([], []) && isEqualInConstantTime([1, 2], [1, 2]))
        #expect(!isEqualInConstantTime([1, 2], [1, 3]) && !isEqualInConstantTime([1, 2], [1]))
    }

    /// RFC 7914 section 12, but for the last, which takes 1 GiB.
    @Test("scrypt of known passwords")
    func scrypt() throws {
        func key(_ password: String, _ salt: String, _ scrypt: Scrypt) throws -> String {
            Hexadecimal.encode(
                try scrypt.key(password: Array(password.utf8), salt: Array(salt.utf8), byteCount: 64))
        }
        #expect(
            try key("", "", Scrypt(cost: 16, blockSize: 1, parallelism: 1))
                == "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
                + "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906")
        #expect(
            try key("password", "NaCl", Scrypt(cost: 1024, blockSize: 8, parallelism: 16)).hasPrefix(
                "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"))
        #expect(
            try key("pleaseletmein", "SodiumChloride", Scrypt(cost: 16384, blockSize: 8, parallelism: 1)).hasPrefix(
                "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"))
    }

    @Test(
        "scrypt's parameters from outside are checked",
        arguments: [
            (3, 8, 1), (1, 8, 1), (0, 8, 1), (-4, 8, 1), (.min, 8, 1), (1 << 62, 8, 1), (16, 0, 1), (16, 8, -1),
            (16, .max, .max),
            (1 << 20, 8, 1), (16, 1 << 20, 1 << 12),
        ])
    func scryptParameters(cost: Int, blockSize: Int, parallelism: Int) throws {
        #expect(throws: CryptographyError.self) {
            try Scrypt(cost: cost, blockSize: blockSize, parallelism: parallelism)
        }
        #expect(throws: CryptographyError.self) { try Scrypt(cost: 2).key(password: [], salt: [], byteCount: 0) }
    }
}

@Suite struct TextEncodingTests {
    /// RFC 4648 section 10.
    @Test("base64 of known texts")
    func known() {
        let cases = [
            "": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "fooba": "Zm9vYmE=",
            "foobar": "Zm9vYmFy",
        ]
        for (text, encoded) in cases {
            #expect(Base64.standard.encode(text.utf8) == encoded)
            #expect(Base64.standard.decode(encoded) == Array(text.utf8))
            let bare = encoded.replacing("=", with: "")
            #expect(Base64.url.encode(text.utf8) == bare && Base64.url.decode(bare) == Array(text.utf8))
        }
        #expect(Base64.standard.encode([0xFB, 0xFF]) == "+/8=" && Base64.url.encode([0xFB, 0xFF]) == "-_8")
    }

    @Test("what is written is read as the same bytes, of every length and beyond a piece")
    func roundTrip() {
        for count in Array(0..<70) + [3 << 20, 3 << 20 + 1] {
            let bytes = randomBytes(count, seed: UInt64(count))
            for kind in [Base64.standard, .url] { #expect(kind.decode(kind.encode(bytes)) == bytes) }
            #expect(Hexadecimal.decode(Hexadecimal.encode(bytes)) == bytes)
        }
    }

    @Test("what is not canonical is refused")
    func strictness() {
        for text in ["a", "ab=c", "====", "YQ=", "YQ", "YR==", "Y Q=", "YWJj=", "YQ==\n", "=", "YWI=YWI=", "-_8="] {
            #expect(Base64.standard.decode(text) == nil, "\(text)")
        }
        for text in ["YQ==", "YR", "+/8", "Y", "YWJjY", "YQ "] { #expect(Base64.url.decode(text) == nil, "\(text)") }
        for text in ["0", "0g", " 0", "0x"] { #expect(Hexadecimal.decode(text) == nil) }
        #expect(Hexadecimal.decode("aBFf") == [0xAB, 0xFF])
    }

    @Test("of random text, exactly what is written again the same is read")
    func fuzz() {
        var random = SeededRandom(seed: 3)
        let digits = Array("AQgwZ09az+/-_= ".utf8)
        var acceptedCount = 0
        for _ in 0..<20_000 {
            let text = (0..<random.below(10)).map { _ in digits[random.below(digits.count)] }
            for kind in [Base64.standard, .url] {
                guard let bytes = kind.decode(text) else { continue }
                acceptedCount += 1
                #expect(kind.encode(bytes).utf8.elementsEqual(text))
            }
        }
        #expect(acceptedCount > 1000)
    }
}

@Suite struct LabUUIDTests {
    @Test("each version has its bits, and the same seed draws the same")
    func versions() throws {
        var random = SeededRandom(seed: 1)
        var again = SeededRandom(seed: 1)
        let time = LabTime.documentedEpoch
        for _ in 0..<100 {
            let four = LabUUID.random(using: &random)
            let seven = LabUUID.timeOrdered(at: time, using: &random)
            #expect(four == .random(using: &again) && seven == .timeOrdered(at: time, using: &again))
            #expect(four.version == 4 && seven.version == 7)
            for one in [four, seven] {
                let character = Array(one.description)[19]
                #expect("89ab".contains(character) && one.description.count == 36)
                #expect(LabUUID(parsing: one.description) == one && LabUUID(bytes: one.bytes) == one)
                #expect(LabUUID(parsing: one.description.uppercased()) == one)
            }
            #expect(seven.description.hasPrefix("018c87bd-9d80-7"), "1703084400000 milliseconds")
        }
    }

    /// RFC 9562 appendix A.6.
    @Test("version 7 as published")
    func published() {
        struct Fixed: RandomNumberGenerator {
            var values: [UInt64]
            mutating func next() -> UInt64 { values.removeFirst() }
        }
        var fixed = Fixed(values: [0xCC3, 0x18C4_DC0C_0C07_398F])
        let time = LabTime(nanoseconds: 1_645_557_742_000 * 1_000_000)
        #expect("\(LabUUID.timeOrdered(at: time, using: &fixed))" == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
    }

    @Test("later ones sort behind, and times out of range do no harm")
    func order() {
        var random = SeededRandom(seed: 1)
        let times = [LabTime(nanoseconds: .min), .init(nanoseconds: 1_000_000), .documentedEpoch, .distantFuture]
        let made = times.map { LabUUID.timeOrdered(at: $0, using: &random) }
        #expect(made == made.sorted())
    }

    @Test(
        "what is none is refused",
        arguments: [
            "", "x", "6ba7b810-9dad-11d1-80b4-00c04fd430c", "6ba7b8109dad11d180b400c04fd430c8",
            "6ba7b810-9dad-11d1-80b4-00c04fd430cg", "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}",
        ])
    func refused(text: String) { #expect(LabUUID(parsing: text) == nil) }
}
