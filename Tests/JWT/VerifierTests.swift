import KernelJSON
import KernelJWT
import KernelStructures
import Testing

@Suite("Keys that come and go, and tokens that are known")
struct VerifierTests {
    private let old: JWK
    private let new: JWK

    init() throws {
        var random = SeededRandom(seed: 3)
        old = try JWK.make(.eddsa, keyID: "old", random: &random)
        new = try JWK.make(.eddsa, keyID: "new", random: &random)
    }

    private func token(_ key: JWK, seconds: Int = 86_400, subject: String = "u") throws -> [UInt8] {
        let claims: JSONValue = ["sub": .string(subject), "exp": .integer(epochSeconds + seconds)]
        return Array(try JWTSigner(key: key).sign(claims).utf8)
    }

    private func word(_ verdict: JWTVerifier.Verdict) -> String {
        switch verdict {
        case .verified: "verified"
        case .refused(let failure): failure.reason
        case .awaitsKeys: "awaits"
        }
    }

    private func fetched(_ keys: [JWK]) throws -> JWTVerifier {
        var verifier = JWTVerifier(policy: JWTPolicy(), caching: .init())
        let isDue1 = verifier.takeFetch(now: epoch)
        #expect(isDue1)
        verifier.fetched(.success(try JWKSet(keys: keys)), now: epoch)
        return verifier
    }

    @Test("the first token waits for keys, which are fetched once")
    func first() throws {
        var verifier = JWTVerifier(policy: JWTPolicy(), caching: .init())
        let said2 = try word(verifier.verify(token(old), now: epoch))
        #expect(said2 == "awaits")
        let isDue3 = verifier.takeFetch(now: epoch)
        #expect(isDue3)
        let isDue4 = verifier.takeFetch(now: epoch)
        #expect(!isDue4)
        #expect(verifier.nextFetch(now: epoch) == nil)
        let said5 = try word(verifier.verify(token(old), now: epoch))
        #expect(said5 == "awaits")
        verifier.fetched(.success(try JWKSet(keys: [old])), now: epoch)
        let said6 = try word(verifier.verify(token(old), now: epoch))
        #expect(said6 == "verified")
        #expect(verifier.nextFetch(now: epoch) == epoch + .seconds(300))
        let isDue7 = verifier.takeFetch(now: epoch + .seconds(299))
        #expect(!isDue7)
        let isDue8 = verifier.takeFetch(now: epoch + .seconds(300))
        #expect(isDue8)
    }

    @Test("a verifier without memory keeps none")
    func noMemory() throws {
        var verifier = JWTVerifier(policy: JWTPolicy(), keys: try JWKSet(keys: [old]), tokenLimit: 0)
        for count in 1...3 {
            let said = try word(verifier.verify(token(old), now: epoch))
            #expect(said == "verified" && verifier.statistics.verifications == count)
        }
        #expect(verifier.knownTokenCount == 0 && verifier.statistics.cacheHits == 0)
    }

    @Test("a name that nobody knows fetches once a minute, however many come")
    func unknown() throws {
        var verifier = try fetched([old])
        var fetches = 0
        // A minute of invented names, ten a second: one fetch at once, one a minute later.
        for step in 0...600 {
            let now = epoch + .milliseconds(100 * step)
            var random = SeededRandom(seed: UInt64(step))
            let invented = try JWK.make(.eddsa, keyID: "invented-\(step)", random: &random)
            let verdict = word(verifier.verify(try token(invented), now: now))
            if verifier.takeFetch(now: now) {
                fetches += 1
                #expect(verdict == "awaits")
                verifier.fetched(.success(try JWKSet(keys: [old])), now: now)
                let said9 = try word(verifier.verify(token(invented), now: now))
                #expect(said9 == "unknown_key")
            } else {
                #expect(verdict == "unknown_key")
            }
        }
        #expect(fetches == 2)
    }

    @Test("a rotation: tokens of the new key pass after one fetch, those of a key that is gone no longer")
    func rotation() throws {
        var verifier = try fetched([old])
        let ofOld = try token(old)
        let ofNew = try token(new)
        let said10 = word(verifier.verify(ofOld, now: epoch))
        #expect(said10 == "verified")
        let said11 = word(verifier.verify(ofOld, now: epoch))
        #expect(said11 == "verified")
        #expect(verifier.statistics.cacheHits == 1 && verifier.statistics.verifications == 1)
        let said12 = word(verifier.verify(ofNew, now: epoch))
        #expect(said12 == "awaits")
        let isDue13 = verifier.takeFetch(now: epoch)
        #expect(isDue13)
        // Both, while old tokens live.
        verifier.fetched(.success(try JWKSet(keys: [new, old])), now: epoch)
        #expect(verifier.knownTokenCount == 0 && verifier.statistics.flushes == 1)
        let said14 = word(verifier.verify(ofNew, now: epoch))
        #expect(said14 == "verified")
        let said15 = word(verifier.verify(ofOld, now: epoch))
        #expect(said15 == "verified")
        // The same keys again forget nothing.
        let later = epoch + .seconds(300)
        let isDue16 = verifier.takeFetch(now: later)
        #expect(isDue16)
        verifier.fetched(.success(try JWKSet(keys: [new, old])), now: later)
        #expect(verifier.knownTokenCount == 2)
        // The old one is withdrawn: its tokens are known no longer, although they were a moment ago.
        verifier.replaceKeys(try JWKSet(keys: [new]))
        let said17 = word(verifier.verify(ofOld, now: later + .seconds(90)))
        #expect(said17 == "awaits")
        let said18 = word(verifier.verify(ofNew, now: later))
        #expect(said18 == "verified")
    }

    @Test("a token that is known expires all the same")
    func expiry() throws {
        var verifier = try fetched([old])
        let short = try token(old, seconds: 60)
        let said19 = word(verifier.verify(short, now: epoch))
        #expect(said19 == "verified")
        let said20 = word(verifier.verify(short, now: epoch + .seconds(59)))
        #expect(said20 == "verified")
        let said21 = word(verifier.verify(short, now: epoch + .seconds(60)))
        #expect(said21 == "expired")
        #expect(verifier.statistics.cacheHits == 2)
    }

    @Test("keys that cannot be fetched hold for an hour more, and are asked for with growing pauses")
    func stale() throws {
        var verifier = try fetched([old])
        let token = try token(old)
        var now = epoch + .seconds(300)
        var pauses: [Int] = []
        while now < epoch + .seconds(300 + 3600) {
            let isDue22 = verifier.takeFetch(now: now)
            #expect(isDue22)
            verifier.fetched(.failure(JWKError("connection refused")), now: now)
            let said23 = word(verifier.verify(token, now: now))
            #expect(said23 == "verified")
            let next = try #require(verifier.nextFetch(now: now))
            pauses.append(Int((next - now).seconds))
            now = next
        }
        #expect(pauses.prefix(8) == [1, 2, 4, 8, 16, 32, 60, 60])
        let late = now + .seconds(1)
        let isDue24 = verifier.takeFetch(now: late)
        #expect(isDue24)
        verifier.fetched(.failure(JWKError("connection refused")), now: late)
        let verdict = verifier.verify(token, now: late)
        guard case .refused(.noKeys(let why)) = verdict else {
            Issue.record("\(verdict)")
            return
        }
        #expect(why == "connection refused")
        // It comes back.
        let back = late + .seconds(60)
        let said25 = word(verifier.verify(token, now: back))
        #expect(said25 == "awaits")
        let isDue26 = verifier.takeFetch(now: back)
        #expect(isDue26)
        verifier.fetched(.success(try JWKSet(keys: [old])), now: back)
        let said27 = word(verifier.verify(token, now: back))
        #expect(said27 == "verified")
    }

    @Test("memory of tokens is bounded, and fixed keys are never fetched")
    func bounds() throws {
        var verifier = JWTVerifier(policy: JWTPolicy(), keys: try JWKSet(keys: [old]), tokenLimit: 10)
        for number in 0..<50 {
            let said28 = try word(verifier.verify(token(old, subject: "u\(number)"), now: epoch))
            #expect(said28 == "verified")
            #expect(verifier.knownTokenCount <= 10)
        }
        let said29 = try word(verifier.verify(token(new), now: epoch))
        #expect(said29 == "unknown_key")
        let isDue30 = verifier.takeFetch(now: .distantFuture)
        #expect(!isDue30 && verifier.nextFetch(now: epoch) == nil)
    }

    @Test("a clock that goes back makes keys due")
    func clock() throws {
        var verifier = try fetched([old])
        let isDue31 = verifier.takeFetch(now: epoch + .seconds(1))
        #expect(!isDue31)
        let isDue32 = verifier.takeFetch(now: epoch - .seconds(3600))
        #expect(isDue32)
    }
}
