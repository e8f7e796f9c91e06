using System.Text.Json;

namespace LrtMesh.Core.Verification;

/// <summary>How cases with a known outcome came out.</summary>
/// <param name="Cases">How many there were.</param>
/// <param name="Failed">Those that came out otherwise.</param>
public sealed record CaseReport(int Cases, IReadOnlyList<FailedCase> Failed)
{
    private const long LargestFile = 256L << 20; // bytes

    /// <summary>Whether all came out as expected.</summary>
    public bool Passed => Failed.Count == 0;

    /// <summary>Runs the cases of a file: a JSON list of objects.</summary>
    /// <param name="path">The file.</param>
    /// <param name="run">Runs one; what differs comes out.</param>
    /// <exception cref="LrtMeshException">The file cannot be read, or holds no cases; names file, case and field.</exception>
    public static CaseReport Run(string path, Func<JsonElement, IEnumerable<FailedCase>> run)
    {
        try
        {
            if (new FileInfo(path).Length > LargestFile)
            {
                throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: a file of cases has at most {LargestFile >> 20} MiB");
            }

            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement is not { ValueKind: JsonValueKind.Array } list || list.GetArrayLength() == 0)
            {
                throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: must be a JSON list of at least one case");
            }

            return new CaseReport(list.GetArrayLength(), [.. list.EnumerateArray().SelectMany((one, index) => RunOne(path, index, one, run))]);
        }
        catch (JsonException e)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: is not JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: cannot be read: {e.Message}", e);
        }
    }

    private static List<FailedCase> RunOne(string path, int index, JsonElement one, Func<JsonElement, IEnumerable<FailedCase>> run)
    {
        try
        {
            return [.. run(one)];
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or FormatException or JsonException)
        {
            // What JsonElement and the serializer throw where a field is missing or of another kind.
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: case {index} is not laid out as expected: {e.Message}", e);
        }
    }
}

/// <summary>A case that came out otherwise.</summary>
/// <param name="Text">What it was about.</param>
/// <param name="Expected">What should have come out.</param>
/// <param name="Got">What did.</param>
public sealed record FailedCase(string Text, string Expected, string Got);
