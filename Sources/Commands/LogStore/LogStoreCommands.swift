import ShellSession

/// What is typed to collect logs.
package enum LogStoreCommands {
    package static var all: [Command] { [logCollector, logAgent] }
}
