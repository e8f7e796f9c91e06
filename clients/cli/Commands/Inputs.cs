using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using LrtMesh.V1;

namespace LrtMesh.Cli.Commands;

/// <summary>What several commands take, and how it is read from the command line.</summary>
internal static class Inputs
{
    public const string SmallModel = "tiny-medium";
    public const string LargeModel = "tiny-large";

    /// <summary>The folder of a family: behaviours and texts.</summary>
    public static Option<string> Family() => new("--family")
    {
        Description = "Folder of a model family, with behaviours/ and text/. Default: models/tiny of the repository.",
        HelpName = "DIR",
        DefaultValueFactory = _ => BehaviourSet.DefaultFolder,
    };

    /// <summary>Layers as a list: 1,2.</summary>
    public static Option<uint[]> Layers(string name, string description, params string[] aliases) => new(name, aliases)
    {
        Description = description,
        HelpName = "L[,L2]",
        Required = true,
        CustomParser = argument => ParseLayers(argument),
    };

    /// <summary>A layer of a model: MODEL:LAYER.</summary>
    public static Option<LayerRef> LayerOf(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "MODEL:LAYER",
        Required = true,
        CustomParser = ParseLayerRef,
    };

    /// <summary>One of a few words; the first is the default.</summary>
    public static Option<string> Choice(string name, string description, params string[] values)
    {
        var option = new Option<string>(name) { Description = description, HelpName = string.Join('|', values), DefaultValueFactory = _ => values[0] };
        option.AcceptOnlyFromAmong(values);
        return option;
    }

    /// <summary>A version of what another option names; 0, where it is not given: the newest.</summary>
    /// <param name="of">The option that names it.</param>
    public static Option<ulong> VersionOf(string of) => new($"{of}-version")
    {
        Description = $"Version of {of} to take instead of the newest; those that were replaced stay for a time: lrtmesh versions.",
        HelpName = "N",
    };

    /// <summary>A vector and its coefficient: NAME:COEFFICIENT.</summary>
    public static (string Vector, double Coefficient)? ParseSteer(string text)
    {
        int colon = text.LastIndexOf(':');
        return colon > 0 && double.TryParse(text.AsSpan(colon + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out double coefficient)
            ? (text[..colon], coefficient)
            : null;
    }

    /// <summary>A run A..B, B not in it, or A.. to the end.</summary>
    public static (uint Start, uint? End)? ParseRange(string text)
    {
        if (text.Split("..") is not [var start, var end] || !uint.TryParse(start, NumberStyles.None, CultureInfo.InvariantCulture, out uint first))
        {
            return null;
        }

        return end.Length == 0 ? (first, null)
            : uint.TryParse(end, NumberStyles.None, CultureInfo.InvariantCulture, out uint last) ? (first, last)
            : null;
    }

    /// <summary>The digits of a digest that a person compares.</summary>
    public static string Short(string digest)
    {
        string digits = digest[(digest.IndexOf(':', StringComparison.Ordinal) + 1)..];
        return digits.Length > 12 ? digits[..12] : digits;
    }

    private static uint[] ParseLayers(ArgumentResult argument)
    {
        var layers = new List<uint>();
        foreach (string part in argument.Tokens.SelectMany(token => token.Value.Split(',')))
        {
            if (!uint.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out uint layer) || layers.Contains(layer))
            {
                argument.AddError($"'{part}': layers are numbers from 0, each once, separated by commas, such as 1,2.");
                return [];
            }

            layers.Add(layer);
        }

        return [.. layers];
    }

    /// <summary>MODEL:LAYER; null where it is something else.</summary>
    public static LayerRef? Layer(string text)
    {
        int colon = text.LastIndexOf(':');
        return colon > 0 && uint.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out uint layer)
            ? new LayerRef { Model = text[..colon], Layer = layer }
            : null;
    }

    private static LayerRef? ParseLayerRef(ArgumentResult argument)
    {
        string text = argument.Tokens[0].Value;
        if (Layer(text) is { } layer)
        {
            return layer;
        }

        argument.AddError($"'{text}': expected MODEL:LAYER with layers counted from 0, such as {SmallModel}:2.");
        return null;
    }
}
