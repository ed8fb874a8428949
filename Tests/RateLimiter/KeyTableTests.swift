import KernelStructures
import RateLimiterEngine
import Testing

/// Bounded memory that gives nothing away.
@Suite struct KeyTableTests {
    @Test("the hash is SipHash-1-3 with 128 bits, as OpenSSL computes it")
    func sipHash() {
        let hash = SipHash(key: (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908))
        // openssl mac -macopt hexkey:00…0f -macopt size:16 -macopt c-rounds:1 -macopt d-rounds:3 SIPHASH
        let known: [(Int, UInt64, UInt64)] = [
            (0, 0xE77E_BCB2_2788_A5BE, 0xFD62_DB6A_DD30_3001), (1, 0xFC6F_3704_60D3_EDA8, 0x5E05_73CC_2B2F_F063),
            (8, 0xAA12_FEE1_D5E3_DAB4, 0x724F_16AB_35F9_C799), (15, 0xC17E_5505_B2BD_526C, 0x2921_CDEC_1E7E_0109),
            (18, 0xEF42_F03D_B78F_704D, 0x023C_449F_16B7_092B),
        ]
        for (count, first, second) in known {
            let input = (0..<count).map { UInt8($0) }
            let digest = input.withUnsafeBytes { hash.hash($0) }
            #expect(digest.low.byteSwapped == first && digest.high.byteSwapped == second, "\(count) bytes")
        }
    }

    @Test("a table behaves as a dictionary does, through growth and removal, while nobody has to be evicted")
    func model() {
        let algorithm = GCRA(quota: quota(10, burst: 3))
        for seed in 1...20 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            var table = KeyTable<GCRA>(capacity: 500)
            var model: [Int: GCRA.State] = [:]
            var now = start
            for _ in 0..<3_000 {
                now += .milliseconds(random.below(4))
                let key = random.below(400)
                // Homes close together, so that runs are long and wrap around the end; or forty homes and runs between.
                let distance = UInt64(seed % 2 == 0 ? 50 : 57)
                let digest = SipHash.Digest(high: .max - UInt64(key % 40) << distance, low: UInt64(key) + 1)
                let known = model[key] ?? algorithm.fresh(now)
                let state = table.find(digest).map { table.slots[$0].state } ?? table.arrival(digest, algorithm, now)
                #expect(algorithm.assess(state, cost: 1, now) == algorithm.assess(known, cost: 1, now))
                guard algorithm.assess(known, cost: 1, now).isAllowed else { continue }
                var changed = known
                algorithm.charge(&changed, cost: 1, now)
                model[key] = changed
                if let place = table.find(digest) {
                    table.update(place) { algorithm.charge(&$0, cost: 1, now) }
                } else {
                    table.insert(digest, changed, algorithm, now)
                }
            }
            #expect(table.evicted == 0)
        }
    }

    @Test("1 M spoofed addresses: memory stays flat, and the limit of a known key holds", arguments: timed)
    func spoofedAddresses(algorithm: RateLimitPolicy.Algorithm) {
        let limiter = limiter(policy(algorithm, 10, per: .seconds(60)) { $0.keyLimit = 5_000 })
        var admitted = 0
        var bytes = 0
        let count = 1_000_000
        for index in 0..<count {
            let now = start + LabDuration(nanoseconds: Int64(index) * 10_000)
            _ = limiter.decide(policy: 0, key: "10.\(index >> 16).\(index >> 8 & 255).\(index & 255)", now: now)
            if index % 1_000 == 0, limiter.decide(policy: 0, key: "victim", now: now).isAllowed { admitted += 1 }
            if index == 50_000 { bytes = limiter.byteCount(policy: 0) }
        }
        #expect(limiter.keyCount(policy: 0) <= 5_000)
        #expect(limiter.byteCount(policy: 0) <= bytes + bytes / 10)
        #expect(bytes < 5_000 * 64 + 5_000 * (algorithm == .slidingLog ? 200 : 0) + 70_000)
        // Ten seconds of a window of sixty: at most what a key may have, however often the table lost it.
        let most = algorithm == .fixedWindow || algorithm.isWindowed ? 10 : 11
        #expect(admitted <= most + 1, "\(admitted)")
    }

    @Test("a key that is exhausted stays so when it has been put out of the table", arguments: timed)
    func evictionRefillsNobody(algorithm: RateLimitPolicy.Algorithm) {
        let limiter = limiter(policy(algorithm, 5, per: .seconds(100)) { $0.keyLimit = 50 })
        for _ in 0..<5 { #expect(limiter.decide(policy: 0, key: "greedy", now: start).isAllowed) }
        for index in 0..<2_000 { _ = limiter.decide(policy: 0, key: "other \(index)", now: start) }
        #expect(limiter.evictedCount(policy: 0) > 0)
        #expect(!limiter.decide(policy: 0, key: "greedy", now: start + .seconds(1)).isAllowed)
        // And when its time has come it is let in again: the mark fades.
        #expect(limiter.decide(policy: 0, key: "greedy", now: start + .seconds(201)).isAllowed)
    }

    @Test("who has to go is the one that is soonest at rest, not the one that is deepest in debt")
    func victim() {
        let algorithm = GCRA(quota: quota(10, per: .seconds(60), burst: 10))
        var table = KeyTable<GCRA>(capacity: 10)
        func digest(_ key: Int) -> SipHash.Digest { .init(high: UInt64(key) << 57, low: UInt64(key) + 1) }
        for key in 0..<20 {
            var state = algorithm.fresh(start)
            algorithm.charge(&state, cost: key == 3 ? 10 : 1, start)
            table.insert(digest(key), state, algorithm, start)
        }
        #expect(table.evicted == 10 && table.find(digest(3)) != nil)
    }

    @Test("keys at rest make room by themselves: nobody is evicted where everybody rests in between")
    func sweeping() {
        let limiter = limiter(policy(.gcra, 1_000) { $0.keyLimit = 1_000 })
        for index in 0..<200_000 {
            _ = limiter.decide(policy: 0, key: "k\(index)", now: start + .microseconds(index * 10))
        }
        #expect(limiter.evictedCount(policy: 0) == 0)
        #expect(limiter.keyCount(policy: 0) <= 1_000)
    }

    @Test(
        "at most 64 bytes a key, as soon as there are some",
        arguments: [
            RateLimitPolicy.Algorithm.tokenBucket, .gcra, .leakyBucket, .fixedWindow, .slidingCounter,
        ])
    func bytesPerKey(algorithm: RateLimitPolicy.Algorithm) {
        let limiter = limiter(policy(algorithm, 1, per: .seconds(3_600)) { $0.keyLimit = 1_000_000 })
        for index in 1...100_000 {
            _ = limiter.decide(policy: 0, key: "key \(index)", now: start)
            if index % 777 == 0 { #expect(limiter.byteCount(policy: 0) <= index * 64, "\(index) keys") }
        }
    }

    @Test("who does not know the secret cannot aim: keys that collide under one seed do not under another")
    func seeds() {
        let bits: UInt64 = 0xFFF
        let first = SipHash(key: (1, 2))
        let second = SipHash(key: (3, 4))
        let aimed = (0..<40_000).map { "k\($0)" }.filter { first.hash($0).high & bits == 0 }
        #expect(aimed.count > 3)
        #expect(aimed.filter { second.hash($0).high & bits == 0 }.count < aimed.count / 2)
    }
}
