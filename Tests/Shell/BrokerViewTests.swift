import Commands
import KernelStructures
import Testing

/// Brokers, as somebody at the prompt looks at them.
@Suite struct BrokerViewTests {
    @Test func aBrokerIsNamedBeforeTheVerbAsHelpSays() {
        let shell = LabShell()
        shell.run("messageq --port 5672 --name a & messageq --port 5673 --name b & sleep 1")
        shell.run("mq-cli publish here x --server amqp://a:5672; mq-cli publish there x --server amqp://b:5673")
        #expect(shell.run("queues").errorOutput.hasPrefix("queues: several run (a, b); name one: queues NODE"))
        #expect(shell.output("queues a").contains("here") && !shell.output("queues a").contains("there"))
        #expect(shell.output("queues b list").contains("there"))
        #expect(shell.output("queues --node b").contains("there"))
        #expect(shell.output("queues b explain there").hasPrefix("Nobody consumes it: what comes stays.\n"))
        #expect(shell.run("queues a explain there").status == 1)
        #expect(shell.run("queues c").errorOutput.hasPrefix("queues: no message queue called 'c' runs"))
    }

    /// A broker speaks unasked: from an acknowledgement to the next delivery nothing is measured.
    @Test func topTellsNoAnswerTimesOfABroker() {
        let shell = LabShell()
        shell.run("messageq --port 5672 & backend --port 8081 --latency 20ms & sleep 1")
        shell.run("mq-cli publish q a; mq-cli consume q --follow & sleep 7; mq-cli publish q b; sleep 1")
        shell.run("curl -s http://localhost:8081/")
        #expect(shell.output("top --json | jq -c '[.[] | [.node, .p99_ms]]'") == "[[\"mq\",null],[\"backend\",20]]\n")
    }
}
