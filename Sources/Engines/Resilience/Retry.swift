public enum RetryPlaceholder {}
