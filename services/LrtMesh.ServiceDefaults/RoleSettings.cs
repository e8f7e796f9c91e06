using System.Collections;
using System.Globalization;
using System.Net;
using LrtMesh.Core;
using LrtMesh.ServiceDefaults.Telemetry;

namespace LrtMesh.ServiceDefaults;

/// <summary>
/// A role process's settings, from the command line (<c>--kv-cache-bytes 1000000</c>, or with = between), which wins, or the environment
/// (<c>LRTMESH_KV_CACHE_BYTES</c>). What is wrong is gathered, so that a start fails once and names all of it.
/// </summary>
public sealed class RoleSettings
{
    private const string Prefix = "LRTMESH_";
    private const int MaxSeconds = 40 * 24 * 60 * 60; // a timer takes little more

    private readonly Dictionary<string, string> _given = new(StringComparer.OrdinalIgnoreCase);
    private readonly bool _collector;
    private readonly HashSet<string> _known = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<Violation> _wrong = [];

    /// <summary>Reads them.</summary>
    /// <param name="arguments">The command line.</param>
    /// <param name="environment">The environment's variables, by name.</param>
    public RoleSettings(string[] arguments, IDictionary environment)
    {
        ReadEnvironment(environment);
        ReadArguments(arguments);
        _collector = environment["OTEL_EXPORTER_OTLP_ENDPOINT"] is string { Length: > 0 };
    }

    /// <summary>Address to listen on; default is 127.0.0.1.</summary>
    public IPAddress Address()
    {
        var text = Value("address") ?? "127.0.0.1";
        if (!IPAddress.TryParse(text, out var address))
        {
            Wrong("address", $"must be an IP address to listen on, such as 127.0.0.1 or 0.0.0.0, not '{text}'");
        }

        return address ?? IPAddress.Loopback;
    }

    /// <summary>Port; default is 0, a free one.</summary>
    public int Port() => Port("port") ?? 0;

    /// <summary>Port for metrics and probes; null where it is not given.</summary>
    public int? OpsPort() => Port("ops-port");

    /// <summary>Whether OTEL_EXPORTER_OTLP_ENDPOINT names a collector; how it is reached the exporter itself reads from its standard variables.</summary>
    public bool Otlp() => _collector;

    /// <summary>How to write the log; default is lines for people.</summary>
    public LogFormat LogFormat() => OneOf<LogFormat>("log-format");

    /// <summary>A required text.</summary>
    public string Required(string name, string what)
    {
        var text = Value(name) ?? "";
        if (text.Length == 0)
        {
            Wrong(name, $"must be given: {what}");
        }

        return text;
    }

    /// <summary>A text; null where it is not given.</summary>
    public string? Optional(string name) => Value(name);

    /// <summary>A folder that is there; null where it is not given.</summary>
    public string? Folder(string name)
    {
        var path = Value(name);
        if (path is not null && !Directory.Exists(path))
        {
            Wrong(name, $"must be a folder, and there is none at '{path}'");
        }

        return path;
    }

    /// <summary>A size in bytes.</summary>
    public long Bytes(string name, long otherwise)
    {
        if (Value(name) is not { } text)
        {
            return otherwise;
        }

        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes))
        {
            Wrong(name, $"must be a number of bytes, not '{text}'");
        }

        return bytes;
    }

    /// <summary>A whole number.</summary>
    public int Number(string name, int otherwise, int least)
    {
        if (Value(name) is not { } text)
        {
            return otherwise;
        }

        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number < least)
        {
            Wrong(name, $"must be a whole number from {least} to {int.MaxValue}, not '{text}'");
        }

        return number;
    }

    /// <summary>A time in seconds, whole or not, up to 40 days.</summary>
    public TimeSpan Seconds(string name, TimeSpan otherwise)
    {
        if (Value(name) is not { } text)
        {
            return otherwise;
        }

        if (!double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) || seconds is not (>= 0 and <= MaxSeconds))
        {
            Wrong(name, $"must be a number of seconds from 0 to {MaxSeconds}, not '{text}'");
            return otherwise;
        }

        return TimeSpan.FromSeconds(seconds);
    }

    /// <summary>Whether something is switched on; default is false.</summary>
    public bool Flag(string name)
    {
        var text = Value(name) ?? "false";
        if (!bool.TryParse(text, out var on))
        {
            Wrong(name, $"must be true or false, not '{text}'");
        }

        return on;
    }

    /// <summary>A name of an enumeration, in lower case; default is its first.</summary>
    public T OneOf<T>(string name)
        where T : struct, Enum
    {
        var text = Value(name);
        var found = Array.FindIndex(Enum.GetNames<T>(), value => value.Equals(text, StringComparison.OrdinalIgnoreCase));
        if (text is not null && found < 0)
        {
            Wrong(name, $"must be one of {string.Join(", ", Enum.GetNames<T>()).ToLowerInvariant()}, not '{text}'");
        }

        return Enum.GetValues<T>()[Math.Max(0, found)];
    }

    /// <summary>Items separated by commas; empty where it is not given.</summary>
    public IReadOnlyList<string> Items(string name) =>
        (Value(name) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    /// <summary>Notes that a setting is wrong.</summary>
    public void Wrong(string name, string description) => _wrong.Add(new Violation($"--{name}", description));

    /// <summary>Throws if any setting was wrong, or is none that the role has asked for, naming all of them.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument.</exception>
    public void Check()
    {
        foreach (var name in _given.Keys.Where(name => !_known.Contains(name)))
        {
            Wrong(name.ToLowerInvariant(), $"is no setting of this role; it has {string.Join(", ", _known.Order(StringComparer.Ordinal))}");
        }

        if (_wrong.Count > 0)
        {
            throw new LrtMeshException(ErrorReason.InvalidArgument, _wrong);
        }
    }

    private int? Port(string name)
    {
        if (Value(name) is not { } text)
        {
            return null;
        }

        if (!ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port))
        {
            Wrong(name, $"must be 0 (a free one) to {IPEndPoint.MaxPort}, not '{text}'");
        }

        return port;
    }

    private string? Value(string name)
    {
        _known.Add(name);
        return _given.GetValueOrDefault(name);
    }

    private void ReadEnvironment(IDictionary environment)
    {
        foreach (string name in environment.Keys)
        {
            if (name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase) && name.Length > Prefix.Length && environment[name] is string value)
            {
                _given[name[Prefix.Length..].Replace('_', '-')] = value; // a shell allows no hyphen in a variable's name
            }
        }
    }

    // Not with .NET's own reader, which passes over what it does not understand: a role would start without what was asked for.
    private void ReadArguments(string[] arguments)
    {
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < arguments.Length; i++)
        {
            var argument = arguments[i];
            if (!argument.StartsWith("--", StringComparison.Ordinal))
            {
                _wrong.Add(new Violation(argument, "is no setting: one is written --NAME VALUE or --NAME=VALUE"));
                continue;
            }

            var end = argument.IndexOf('=', StringComparison.Ordinal);
            var name = end < 0 ? argument[2..] : argument[2..end];
            var value = end >= 0 ? argument[(end + 1)..] : i + 1 < arguments.Length && !arguments[i + 1].StartsWith("--", StringComparison.Ordinal) ? arguments[++i] : null;
            if (value is null)
            {
                Wrong(name, $"must have a value: --{name} VALUE");
                _known.Add(name); // said enough
                continue;
            }

            if (!seen.Add(name))
            {
                Wrong(name, "is given twice");
            }

            _given[name] = value;
        }
    }
}
