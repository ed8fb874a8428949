import KernelStructures
import Testing

@Suite struct GenerationCacheTests {
    @Test("what is asked for stays, what is not goes, and there is never more than two generations of it")
    func generations() {
        var cache = GenerationCache<Int, Int>(generationCount: 10)
        for key in 0..<1000 {
            cache.insert(key, for: key)
            #expect(cache.find(0) == 0, "somebody asks for it all the time")
            #expect(cache.count <= 20)
        }
        #expect(cache.find(999) == 999 && cache.find(500) == nil)
    }

    @Test("changed and taken out in either generation")
    func changes() {
        var cache = GenerationCache<String, Int>(generationCount: 2)
        for (value, key) in ["a", "b", "c"].enumerated() { cache.insert(value, for: key) }
        for key in ["a", "c", "x"] { cache.update(key) { $0 += 10 } }
        #expect(cache.find("a") == 10 && cache.find("c") == 12 && cache.find("x") == nil)
        cache.remove("a")
        cache.insert(7, for: "b")
        #expect(cache.find("a") == nil && cache.find("b") == 7)
        cache.removeAll()
        #expect(cache.count == 0)
    }
}
