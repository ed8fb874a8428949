import ShellSession

/// What is typed to start databases.
package enum DatabaseCommands {
    package static var all: [Command] { [postgres] }
}
