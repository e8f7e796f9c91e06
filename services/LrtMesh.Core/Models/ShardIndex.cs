using System.Text.Json;

namespace LrtMesh.Core.Models;

/// <summary>A model.safetensors.index.json: which shard holds which tensor.</summary>
internal static class ShardIndex
{
    private const long MaxBytes = 100 << 20; // as much as a header

    /// <summary>Reads an index.</summary>
    /// <param name="path">The file.</param>
    /// <returns>File name of the shard, by tensor.</returns>
    /// <exception cref="LrtMeshException">Unreadable or damaged; names file and tensor.</exception>
    public static Dictionary<string, string> Read(string path)
    {
        try
        {
            var length = new FileInfo(path).Length;
            if (length > MaxBytes)
            {
                throw Damaged(path, $"has {length} bytes, and an index has at most {MaxBytes}");
            }

            return Parse(path, File.ReadAllBytes(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: cannot be read: {e.Message}", e);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Damaged(path, $"is not JSON in UTF-8: {e.Message}");
        }
    }

    private static Dictionary<string, string> Parse(string path, ReadOnlySpan<byte> bytes)
    {
        Dictionary<string, string>? map = null;
        var json = new Utf8JsonReader(bytes);
        if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
        {
            throw Damaged(path, "must be a JSON object");
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var key = json.GetString();
            json.Read();
            if (key == "weight_map")
            {
                map = map is null ? ReadMap(path, ref json) : throw Damaged(path, "weight_map is given twice");
            }
            else
            {
                json.Skip(); // metadata: sizes, for people
            }
        }

        while (json.Read())
        {
            // What is left must be white space, and the reader throws if it is not.
        }

        return map is { Count: > 0 } ? map : throw Damaged(path, "weight_map: must name the shard of every tensor");
    }

    private static Dictionary<string, string> ReadMap(string path, ref Utf8JsonReader json)
    {
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw Damaged(path, "weight_map: must be an object");
        }

        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var tensor = json.GetString()!;
            json.Read();
            var shard = json.TokenType == JsonTokenType.String ? json.GetString()! : "";
            if (!IsFileName(shard))
            {
                throw Damaged(path, $"tensor '{SafetensorsHeader.Shown(tensor)}': its shard must be the name of a .safetensors file in the same folder, not '{SafetensorsHeader.Shown(shard)}'");
            }

            if (!map.TryAdd(tensor, shard))
            {
                throw Damaged(path, $"tensor '{SafetensorsHeader.Shown(tensor)}' is given twice");
            }
        }

        return map;
    }

    /// <summary>Whether a name stays in its folder, on every system.</summary>
    private static bool IsFileName(string name) =>
        name.EndsWith(".safetensors", StringComparison.Ordinal) && name.AsSpan().IndexOfAny("/\\:\0") < 0;

    private static LrtMeshException Damaged(string path, string what) => new(ErrorReason.DataLoss, $"{path}: {what}");
}
