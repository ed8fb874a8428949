import MessageQueueService
import ShellSession

/// What is typed to start a message queue and to talk to one.
package enum MessageQueueCommands {
    package static var all: [Command] { [messageq, mqCli, queues] }
}
