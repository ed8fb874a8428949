import Foundation
import KernelCryptography
import KernelJSON
import KernelJWT
import KernelStructures
import Testing

/// Cases that others have written; they are not part of this package.
enum Vectors {
    static let directory =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/../shared/vectors/jwt"
    static let areThere = FileManager.default.fileExists(atPath: directory)

    static func read(_ path: String) throws -> JSONValue {
        try JSONValue(parsing: [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(path)"))))
    }
}

func elements(_ value: JSONValue?) -> [JSONValue] { if case .array(let elements)? = value { elements } else { [] } }
func text(_ value: JSONValue?) -> String? { if case .string(let text)? = value { text } else { nil } }

@Suite("Wycheproof's cases of signed tokens")
struct WycheproofTests {
    static let files = ["signature", "key", "crypto"].map { "wycheproof/json_web_\($0)_test.part.json" }

    // @covers GW-H2
    @Test("each is judged as it says", .enabled(if: Vectors.areThere, "the folder of vectors is not there"))
    func cases() throws {
        var judged = 0
        var accepted = 0
        for file in Self.files {
            for group in elements(try Vectors.read(file)["testGroups"]) {
                guard let key = group["public"] ?? group["private"] else { continue }
                // Encryption is not read here at all.
                if text(group["comment"]) == "jwe_aes" { continue }
                for one in elements(group["tests"]) {
                    judged += 1
                    let isValid = Self.isValid(one["jws"], key)
                    if isValid { accepted += 1 }
                    #expect(
                        isValid == (text(one["result"]) == "valid"),
                        "\(file) \(one["tcId"]!.text) \(one["comment"]!.text)")
                }
            }
        }
        #expect(judged == 292)
        #expect(accepted == 25)
    }

    private static func isValid(_ jws: JSONValue?, _ key: JSONValue) -> Bool {
        // JSON where the compact form is wanted is what the case is about.
        let token = text(jws) ?? jws?.text ?? ""
        guard let keys = try? JWKSet(parsing: key.bytes(.compact)), let jws = try? JWS(compact: Array(token.utf8))
        else {
            return false
        }
        return keys.keys.contains { jws.isSigned(jws.entries[0], by: $0) }
    }
}

@Suite("The cookbook of JOSE")
struct CookbookTests {
    static let files = [
        "jws/4_1.rsa_v15_signature", "jws/4_2.rsa-pss_signature", "jws/4_3.ecdsa_signature",
        "jws/4_4.hmac-sha2_integrity_protection", "jws/4_5.signature_with_detached_content",
        "jws/4_6.protecting_specific_header_fields", "jws/4_7.protecting_content_only", "jws/4_8.multiple_signatures",
        "curve25519/jws", "rfc7797/4.2.hmac-sha2_b64_false", "rfc7797/hmac-sha2_b64_false",
    ]

    private static func keys(_ value: JSONValue?) throws -> [JWK] {
        guard let value else { return [] }
        let all = if case .array(let all) = value { all } else { [value] }
        return try all.map { try JWK(JSONCursor($0)) }
    }

    @Test("every form of every example is signed by its keys", .enabled(if: Vectors.areThere, "no folder of vectors"))
    func outputs() throws {
        var forms = 0
        for file in Self.files {
            let example = try Vectors.read("cookbook/\(file).json")
            let keys = try Self.keys(example["input"]?["key"])
            let payload = Array(try #require(text(example["input"]?["payload"])).utf8)
            let output = try #require(example["output"])
            for form in ["compact", "json", "json_flat"] {
                guard let value = output[form] else { continue }
                forms += 1
                let isDetached = file.contains("detached")
                let read: JWS
                if let compact = text(value) {
                    read = try JWS(compact: Array(compact.utf8), detached: isDetached ? payload : nil)
                } else {
                    read = try JWS(json: value.bytes(.compact), detached: isDetached ? payload : nil)
                }
                #expect(read.payload == payload)
                for (index, entry) in read.entries.enumerated() {
                    let key = keys.count == read.entries.count ? keys[index] : keys[0]
                    #expect(read.isSigned(entry, by: key), "\(file) \(form) \(index)")
                    // And by nobody else: a bit of the payload makes another text of it.
                    let other = try JWK(secret: [UInt8](repeating: 7, count: 64), keyID: nil, algorithm: .hs256)
                    #expect(!read.isSigned(entry, by: other))
                }
            }
        }
        #expect(forms >= 25)
    }

    @Test(
        "what has no chance in it is signed with the same bytes",
        .enabled(if: Vectors.areThere, "no folder of vectors"),
        arguments: ["jws/4_1.rsa_v15_signature", "jws/4_4.hmac-sha2_integrity_protection", "curve25519/jws"])
    func signing(_ file: String) throws {
        let example = try Vectors.read("cookbook/\(file).json")
        let key = try #require(try Self.keys(example["input"]?["key"]).first)
        let payload = Array(try #require(text(example["input"]?["payload"])).utf8)
        let algorithm = try #require(JWSAlgorithm(rawValue: text(example["input"]?["alg"]) ?? ""))
        #expect(
            try JWS.compact(payload: payload, key: key, algorithm: algorithm) == text(example["output"]?["compact"]))
    }

    @Test("its keys are read, and written as they were", .enabled(if: Vectors.areThere, "no folder of vectors"))
    func keys() throws {
        for name in ["3_1.ec_public_key", "3_2.ec_private_key", "3_3.rsa_public_key", "3_4.rsa_private_key"] {
            let value = try Vectors.read("cookbook/jwk/\(name).json")
            let key = try JWK(JSONCursor(value))
            #expect(key.isPrivate == name.contains("private"))
            guard case .object(var members) = key.json(withPrivate: true), case .object(let original) = value else {
                Issue.record("no object")
                continue
            }
            // A curve says what a key is for; that is written out.
            members.removeAll { $0.key == "alg" }
            #expect(
                members.allSatisfy { member in original.contains { $0.key == member.key && $0.value == member.value } })
            #expect(members.count == original.count)
        }
        let secret = try JWK(JSONCursor(try Vectors.read("cookbook/jwk/3_5.symmetric_key_mac_computation.json")))
        #expect(secret.algorithms == [.hs256])
    }
}
