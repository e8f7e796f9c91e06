using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text;
using LrtMesh.Cli;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class SafetensorsWriterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-safetensors-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Tensors_that_grew_row_by_row_are_whole_in_the_file()
    {
        string path = Path.Combine(_folder, "states.safetensors");
        await using (var writer = new SafetensorsWriter(path))
        {
            var states = writer.Add("layer.2", "F32", sizeof(float), rowWidth: 3);
            var position = writer.Add("position", "I64", sizeof(long), rowWidth: null);
            states.Append(MemoryMarshal.AsBytes<float>([1, 2, 3]));
            position.Append([0u, 1u]);
            states.Append(MemoryMarshal.AsBytes<float>([4, 5, 6]));
            Assert.Equal((2, 2), (states.Rows, position.Rows));
            await writer.FinishAsync(new Dictionary<string, string> { ["model"] = "tiny" }, TestContext.Current.CancellationToken);
        }

        byte[] file = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
        Assert.Equal(0, length % 8);
        using var header = JsonDocument.Parse(Encoding.UTF8.GetString(file, 8, length));
        Assert.Equal("tiny", header.RootElement.GetProperty("__metadata__").GetProperty("model").GetString());
        var layer = header.RootElement.GetProperty("layer.2");
        Assert.Equal("""{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}""", layer.GetRawText());
        Assert.Equal("""{"dtype":"I64","shape":[2],"data_offsets":[24,40]}""", header.RootElement.GetProperty("position").GetRawText());
        Assert.Equal([1f, 2, 3, 4, 5, 6], MemoryMarshal.Cast<byte, float>(file.AsSpan(8 + length, 24)).ToArray());
        Assert.Equal([0L, 1], MemoryMarshal.Cast<byte, long>(file.AsSpan(32 + length)).ToArray());
        Assert.Equal(["states.safetensors"], Directory.GetFiles(_folder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_command_that_fails_leaves_the_older_file_and_nothing_else()
    {
        string path = Path.Combine(_folder, "states.safetensors");
        await File.WriteAllTextAsync(path, "older", TestContext.Current.CancellationToken);
        await using (var writer = new SafetensorsWriter(path))
        {
            writer.Add("layer.0", "F32", sizeof(float), rowWidth: 1).Append([1, 2, 3, 4]);
        }

        Assert.Equal("older", await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));
        Assert.Single(Directory.GetFiles(_folder));
    }
}
