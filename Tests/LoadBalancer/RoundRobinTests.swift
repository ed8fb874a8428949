import LoadBalancerEngine
import Testing

@Suite("Smooth weighted round robin")
struct RoundRobinTests {
    @Test("weights 5, 1, 1 give a a b a c a a, again and again")
    func smooth() {
        var pool = TestPool(RoundRobin(), weights: [5, 1, 1])
        #expect(pool.letters(21) == "aabacaaaabacaaaabacaa")
    }

    @Test("those that stay keep what they saved; one that comes begins with nothing")
    func savings() {
        var pool = TestPool(RoundRobin(), weights: [5, 1, 1])
        let all = pool.members
        #expect(pool.letters(2) == "aa")
        pool.update(Array(all.prefix(2)))
        // Savings are −4 and 2: b is next, though a would be in a new pool.
        #expect(pool.letters(4) == "baaa")
        // Savings are −2 and 0; had c kept its 2 it would be chosen second.
        pool.update(all)
        #expect(pool.letters(7) == "abaacaa")
    }
}
