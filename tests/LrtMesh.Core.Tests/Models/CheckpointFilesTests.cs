using CsCheck;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>A checkpoint's folder: one file or shards with an index, whole and damaged.</summary>
[Collection(CheckpointsRunAlone.Name)]
public sealed class CheckpointFilesTests : IDisposable
{
    private const string First = "model-00001-of-00002.safetensors";
    private const string Second = "model-00002-of-00002.safetensors";

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-shards-").FullName;

    public CheckpointFilesTests()
    {
        NativeTorch.EnsureLoaded();
        WriteShard(First, ("a", 1), ("b", 2));
        WriteShard(Second, ("c", 3));
        WriteIndex($$$"""{"metadata":{"total_size":36},"weight_map":{"a":"{{{First}}}","b":"{{{First}}}","c":"{{{Second}}}"}}""");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Tensors_are_read_from_their_shards()
    {
        using var files = CheckpointFiles.Open(_folder);
        Assert.Equal(["a", "b", "c"], files.Names.Order());
        foreach (var (name, value) in new[] { ("a", 1f), ("b", 2f), ("c", 3f) })
        {
            using var read = files.Read(name, [3], ScalarType.Float32);
            Assert.Equal([value, value, value], read.Floats().ToArray());
        }
    }

    [Fact]
    public void The_digest_is_that_of_the_tensors_however_they_are_spread()
    {
        string digest;
        using (var shards = CheckpointFiles.Open(_folder))
        {
            digest = shards.Digest();
        }

        WriteShard(CheckpointFiles.SingleFile, ("c", 3), ("a", 1), ("b", 2));
        using (var single = CheckpointFiles.Open(_folder))
        {
            Assert.Equal(digest, single.Digest());
        }

        WriteShard(CheckpointFiles.SingleFile, ("c", 3), ("a", 1), ("b", 2.0001f));
        using var changed = CheckpointFiles.Open(_folder);
        Assert.NotEqual(digest, changed.Digest());
    }

    [Theory]
    [InlineData($$$"""{"weight_map":{"a":"{{{First}}}","b":"{{{First}}}"}}""", "index.json: has no tensor 'c'")]
    [InlineData($$$"""{"weight_map":{"a":"{{{First}}}","c":"{{{Second}}}"}}""", "does not name tensor 'b', which shard model-00001-of-00002")]
    [InlineData($$$"""{"weight_map":{"a":"{{{First}}}","b":"{{{First}}}","c":"{{{Second}}}","d":"{{{Second}}}"}}""", "tensor 'd' is in model-00002-of-00002.safetensors, which does not hold it")]
    [InlineData($$$"""{"weight_map":{"a":"{{{First}}}","b":"{{{Second}}}","c":"{{{Second}}}"}}""", "'b' is in model-00002-of-00002.safetensors, and model-00001-of-00002.safetensors holds one")]
    [InlineData("""{"weight_map":{"a":"model-00003-of-00002.safetensors"}}""", "names the shard 'model-00003-of-00002.safetensors' for tensor 'a', which is missing")]
    [InlineData("""{"weight_map":{"a":"../outside.safetensors"}}""", "tensor 'a': its shard must be the name of a .safetensors file in the same folder, not '../outside.safetensors'")]
    [InlineData("""{"weight_map":{"a":"/outside.safetensors"}}""", "tensor 'a': its shard must be")]
    [InlineData("""{"weight_map":{"a":"..\\outside.safetensors"}}""", "tensor 'a': its shard must be")]
    [InlineData("""{"weight_map":{"a":"sub/x.safetensors"}}""", "tensor 'a': its shard must be")]
    [InlineData("""{"weight_map":{"a":"config.json"}}""", "tensor 'a': its shard must be")]
    [InlineData("""{"weight_map":{"a":7}}""", "tensor 'a': its shard must be")]
    [InlineData($$$"""{"weight_map":{"a":"{{{First}}}","a":"{{{Second}}}"}}""", "'a' is given twice")]
    [InlineData($$$"""{"weight_map":{"a":"{{{First}}}"},"weight_map":{"b":"{{{First}}}"}}""", "weight_map is given twice")]
    [InlineData("""{"weight_map":{}}""", "weight_map: must name")]
    [InlineData("""{"weight_map":[]}""", "weight_map: must be an object")]
    [InlineData("""{}""", "weight_map: must name")]
    [InlineData("""[]""", "must be a JSON object")]
    [InlineData("", "not JSON")]
    [InlineData("""{"weight_map":{"a":""", "not JSON")]
    public void A_damaged_index_is_named_with_tensor_and_shard(string index, string message)
    {
        WriteIndex(index);
        var error = Assert.Throws<LrtMeshException>(() =>
        {
            using var files = CheckpointFiles.Open(_folder);
            using var read = files.Read("c", [3], ScalarType.Float32);
        });
        Assert.StartsWith(_folder, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_in_two_shards_is_named()
    {
        WriteShard(Second, ("c", 3), ("a", 4));
        Assert.Contains(
            $"'a' is in {First}, and {Second} holds one", Assert.Throws<LrtMeshException>(() => CheckpointFiles.Open(_folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_weights_says_what_it_looked_for()
    {
        File.Delete(Path.Combine(_folder, CheckpointFiles.IndexFile));
        var error = Assert.Throws<LrtMeshException>(() => CheckpointFiles.Open(_folder));
        Assert.Contains($"{_folder}: has neither model.safetensors nor model.safetensors.index.json", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Whatever_changes_in_the_index_only_a_refusal_comes_out()
    {
        var good = File.ReadAllBytes(Path.Combine(_folder, CheckpointFiles.IndexFile));
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte).Array[1, 5].Sample(
            changes =>
            {
                var bytes = (byte[])good.Clone();
                foreach (var (at, value) in changes)
                {
                    bytes[at] = value;
                }

                File.WriteAllBytes(Path.Combine(_folder, CheckpointFiles.IndexFile), bytes);
                try
                {
                    using var files = CheckpointFiles.Open(_folder);
                }
                catch (LrtMeshException)
                {
                    // refused, as it should be
                }
            },
            iter: 2000, threads: 1);
    }

    private void WriteIndex(string json) => File.WriteAllText(Path.Combine(_folder, CheckpointFiles.IndexFile), json);

    private void WriteShard(string file, params (string Name, float Value)[] tensors)
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(Path.Combine(_folder, file), [.. tensors.Select(t => (t.Name, full(3, t.Value, ScalarType.Float32)))]);
    }
}
