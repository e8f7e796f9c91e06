using System.Collections.Concurrent;
using System.Diagnostics;
using LrtMesh.ServiceDefaults;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LrtMesh.Services.Tests.Access;

/// <summary>What roles log, as lines of category and message, with exceptions.</summary>
internal sealed class RecordedLogs : ILoggerProvider
{
    private readonly ConcurrentQueue<string> _lines = new();

    public IReadOnlyCollection<string> Lines => _lines;

    /// <summary>Listens to a role.</summary>
    public RecordedLogs Of(RoleHost role)
    {
        role.Service<ILoggerFactory>().AddProvider(this);
        return this;
    }

    /// <summary>Waits for a line that holds a text.</summary>
    public async Task<string> FindAsync(string text)
    {
        for (var clock = Stopwatch.StartNew(); ; await Task.Delay(50, TestContext.Current.CancellationToken))
        {
            if (_lines.FirstOrDefault(line => line.Contains(text, StringComparison.Ordinal)) is { } line)
            {
                return line;
            }

            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), $"no line has '{text}': {string.Join('\n', _lines)}");
        }
    }

    public ILogger CreateLogger(string categoryName) => new Recorder(this, categoryName);

    public void Dispose()
    {
        // The lines stay, to be looked at after their role has gone.
    }

    private sealed class Recorder(RecordedLogs logs, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            logs._lines.Enqueue($"{category} {logLevel}: {formatter(state, exception)} {exception}");
    }
}
