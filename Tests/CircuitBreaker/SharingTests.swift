import CircuitBreakerEngine
import KernelStructures
import Testing

/// What breakers tell each other.
@Suite struct SharingTests {
    private let open = SharedFinding(isOpen: true, owner: "other")
    private let closed = SharedFinding(isOpen: false, owner: "other")

    @Test("a closed circuit opens for as long as the other's wait still lasts, and says who found out")
    func adoptsOpen() {
        var story = Story()
        let change = story.engine.adopt(open, remaining: .seconds(12), now: story.now)
        #expect(change?.to == .open && change?.reason == .shared(by: "other") && change?.wait == .seconds(12))
        #expect(story.engine.history.last == change && change?.reason.description == "other found out")
        story.pass(.seconds(11))
        #expect(story.call(".") == "-")
        story.pass(.seconds(1))
        #expect(story.call(".") == "H")
    }

    @Test("one that is open already learns for how long, and never forgets its own wait")
    func extends() {
        var story = Story()
        story.call("xxxxx")
        let own = story.engine.openUntil
        #expect(story.engine.adopt(open, remaining: .seconds(1), now: story.now) == nil)
        #expect(story.engine.openUntil == own)
        #expect(story.engine.adopt(open, remaining: .seconds(90), now: story.now) == nil)
        #expect(story.engine.openUntil == story.now + .seconds(90))
    }

    @Test("one that waits for the lease stays open beyond its wait, and tries once it has it")
    func lease() {
        var story = Story()
        story.call("xxxxx")
        story.engine.awaitsTrialLease = true
        story.pass(.seconds(300))
        #expect(story.call("..") == "--" && story.engine.advance(now: story.now) == nil)
        #expect(story.engine.nextDeadline == .distantFuture)
        story.engine.awaitsTrialLease = false
        #expect(story.call("..") == "HH" && story.engine.state == .closed)
    }

    @Test("what another one found closed is closed, from open and from half-open; results under way are late")
    func adoptsClosed() {
        var story = Story()
        story.becomeReadyToTry()
        let permit = story.engine.tryAcquire(now: story.now).permit
        #expect(story.engine.state == .halfOpen)
        #expect(story.engine.adopt(closed, remaining: .zero, now: story.now)?.to == .closed)
        #expect(story.engine.onFailure(permit!, now: story.now).isLate)
        #expect(story.engine.adopt(closed, remaining: .zero, now: story.now) == nil)
    }

    @Test("what an operator ordered stays", arguments: [CircuitState.forcedOpen, .disabled, .metricsOnly])
    func orders(state: CircuitState) {
        var story = Story()
        _ = story.engine.order(state, now: story.now)
        for finding in [open, closed] {
            #expect(story.engine.adopt(finding, remaining: .seconds(5), now: story.now) == nil)
            #expect(story.engine.state == state)
        }
    }

    @Test("no finding keeps it open for longer than a day, whatever stands in the store")
    func bound() {
        var story = Story()
        for remaining in [LabDuration.infinite, .seconds(1_000_000_000), LabDuration(nanoseconds: .min)] {
            _ = story.engine.adopt(open, remaining: remaining, now: story.now)
            #expect(story.engine.openUntil <= story.now + .seconds(86_400) && story.engine.openUntil >= story.now)
        }
    }

    @Test("a finding reads what it wrote, and nothing else: fuzz")
    func codec() {
        for finding in [open, closed, SharedFinding(isOpen: true, owner: "circuit-test-12")] {
            #expect(SharedFinding(parsing: finding.text) == finding)
        }
        for text in [
            "", "OPEN", "OPEN ", "open a", "OPEN a b", "OPEN\ta", "CLOSED a\n", "OPEN é",
            "OPEN " + String(repeating: "a", count: 81),
        ] {
            #expect(SharedFinding(parsing: text) == nil, "\(text)")
        }
        var random = SeededRandom(seed: 4)
        let letters = Array("OPENCLSD abz09-_.: é\u{0}\n")
        for _ in 0..<20_000 {
            let text = String((0..<random.below(24)).map { _ in letters[random.below(letters.count)] })
            if let finding = SharedFinding(parsing: text) { #expect(finding.text == text) }
        }
    }

    @Test("the library adopts, too, and its gate refuses at once")
    func library() throws {
        let clock = HandClock()
        let breaker = CircuitBreaker("a", seedConfiguration, clock: { clock.now })
        breaker.adopt(open, remaining: .seconds(10))
        #expect(throws: CallNotPermitted.self) { try breaker.execute { 1 } }
        breaker.adopt(closed, remaining: .zero)
        #expect(try breaker.execute { 1 } == 1)
    }
}
