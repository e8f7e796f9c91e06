using LrtMesh.Core;
using Microsoft.Extensions.Logging;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>Files that are read again when their contents change.</summary>
internal abstract class ReloadedFiles
{
    /// <summary>Reads them again if they have changed. New contents that are wrong are told, once, and what held before holds on.</summary>
    public abstract void Refresh(ILogger logger);
}

/// <summary>What some files say. By contents and not by time: a volume of Kubernetes changes by moving a link.</summary>
internal sealed class ReloadedFiles<T> : ReloadedFiles
    where T : class
{
    private readonly string[] _paths;
    private readonly Func<string[], T> _parse;
    private string[] _contents;
    private volatile T _current;

    /// <summary>Reads them for the first time.</summary>
    /// <param name="parse">Makes what they say of their texts, in the order of <paramref name="paths"/>; throws what is wrong with them.</param>
    /// <param name="paths">Where they are.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition, naming the files: they cannot be read, or are wrong.</exception>
    public ReloadedFiles(Func<string[], T> parse, params string[] paths)
    {
        (_parse, _paths) = (parse, paths);
        try
        {
            _contents = Read();
            _current = parse(_contents);
        }
        catch (Exception e) when (IsWrong(e))
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{Names}: {e.Message}", e);
        }
    }

    /// <summary>What they say.</summary>
    public T Current => _current;

    private string Names => string.Join(", ", _paths);

    /// <inheritdoc/>
    public override void Refresh(ILogger logger)
    {
        string[] contents;
        try
        {
            contents = Read();
            if (contents.SequenceEqual(_contents, StringComparer.Ordinal))
            {
                return;
            }
        }
        catch (Exception e) when (IsWrong(e))
        {
            // Being replaced, or gone: told once, and then again after it was there.
            if (_contents.Length > 0)
            {
                _contents = [];
                AccessLog.Kept(logger, Names, e.Message);
            }

            return;
        }

        _contents = contents;
        try
        {
            _current = _parse(contents);
            AccessLog.Reloaded(logger, Names);
        }
        catch (Exception e) when (IsWrong(e))
        {
            AccessLog.Kept(logger, Names, e.Message);
        }
    }

    private string[] Read() => Array.ConvertAll(_paths, File.ReadAllText);

    private static bool IsWrong(Exception e) =>
        e is IOException or UnauthorizedAccessException or LrtMeshException or System.Security.Cryptography.CryptographicException or ArgumentException;
}
