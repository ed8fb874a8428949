import ShellSession

/// What is typed to serve feature flags, to change and ask them, and to be a program that uses them.
package enum FeatureFlagsCommands {
    package static var all: [Command] { [featureFlags, flagsCli, flagsApp] }
}
