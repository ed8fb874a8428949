import ShellSession

/// What is typed to search logs.
package enum LogQLCommands {
    package static var all: [Command] { [logQuery] }
}
