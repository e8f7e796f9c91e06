namespace LrtMesh.Core.Models.Families;

/// <summary>
/// Rotary positions as config.json gives them: <c>rope_theta</c> and <c>rope_scaling</c> (transformers 4), or both within
/// <c>rope_parameters</c> (transformers 5).
/// </summary>
/// <param name="Theta">Base of the frequencies.</param>
/// <param name="Width">Rotated dimensions of a head.</param>
/// <param name="Scaling">How the frequencies are stretched; null: they are not.</param>
internal sealed record Rope(double Theta, int Width, RopeScaling? Scaling)
{
    /// <summary>Reads them.</summary>
    /// <param name="config">The file.</param>
    /// <param name="theta">The base where none is given.</param>
    /// <param name="headWidth">Width of a head.</param>
    /// <param name="context">The model's context, in tokens.</param>
    /// <param name="part">The share of a head that is rotated where none is given; null: the family rotates the whole head.</param>
    /// <param name="thetaKey">What the base is called outside <c>rope_parameters</c>.</param>
    /// <param name="partKey">What the share is called there.</param>
    public static Rope Read(
        ConfigFile config, double theta, int headWidth, int context, double? part = null,
        string thetaKey = "rope_theta", string partKey = "partial_rotary_factor")
    {
        var section = One(config, config.Section("rope_parameters"), config.Section("rope_scaling"));
        var given = Same(config, thetaKey, config.NumberOrNull(thetaKey), section?.NumberOrNull("rope_theta"));
        var share = 1.0;
        if (part is { } usual)
        {
            share = Same(config, partKey, config.NumberOrNull(partKey), section?.NumberOrNull("partial_rotary_factor")) ?? usual;
        }
        else if (section?.NumberOrNull("partial_rotary_factor") is { } unusual && unusual != 1)
        {
            throw section.Error("partial_rotary_factor", $"is {unusual}, and this family rotates the whole head");
        }

        var width = (int)(headWidth * share);
        return new Rope(given ?? theta, width, section is null ? null : ReadScaling(config, section, width, context));
    }

    /// <summary>Reads one object of <c>rope_parameters</c> that has an object for each kind of block.</summary>
    public static Rope ReadSection(ConfigFile config, ConfigFile section, double theta, int headWidth, int context) =>
        new(section.Number("rope_theta", theta), headWidth, ReadScaling(config, section, headWidth, context));

    /// <summary>How an object stretches the frequencies.</summary>
    /// <exception cref="LrtMeshException">A <c>rope_type</c> that is not known.</exception>
    public static RopeScaling? ReadScaling(ConfigFile config, ConfigFile section, int width, int context)
    {
        var type = section.Text("rope_type", null);
        var older = section.Text("type", null);
        if (type is not null && older is not null && type != older)
        {
            throw section.Error("rope_type", $"is '{type}', and type is '{older}'");
        }

        return (type ?? older ?? "default") switch
        {
            "default" => null,
            "linear" => new LinearScaling(Factor()),
            // Within max_position_embeddings, which no sequence here exceeds, its frequencies are the plain ones.
            "dynamic" => Factor() > 0 && Original() == context ? null
                : throw section.Error("original_max_position_embeddings", $"a dynamic rope is supported where it is max_position_embeddings = {context}"),
            "llama3" => Llama3(),
            "yarn" => Yarn(),
            "longrope" or "su" => Long(),
            var other => throw section.Error("rope_type", $"'{other}' is not one of: default, linear, dynamic, llama3, yarn, longrope"),
        };

        double Factor() => section.NumberOrNull("factor") is { } factor and >= 1 ? factor : throw section.Error("factor", "must be a number of at least 1");

        // Phi-3 keeps it outside, and there it comes first.
        int Original() => config.SizeOrNull("original_max_position_embeddings") is { } outside
            ? SameContext(outside, section.SizeOrNull("original_max_position_embeddings"))
            : section.Size("original_max_position_embeddings", context);

        int SameContext(int outside, int? inside) => inside is null || inside == outside ? outside
            : throw section.Error("original_max_position_embeddings", $"is {inside} here and {outside} outside");

        Llama3Scaling Llama3()
        {
            var (low, high) = (section.Number("low_freq_factor"), section.Number("high_freq_factor"));
            return high > low ? new Llama3Scaling(Factor(), low, high, Original())
                : throw section.Error("high_freq_factor", $"must be larger than low_freq_factor = {low}, and it is {high}");
        }

        YarnScaling Yarn()
        {
            var original = Original();
            // Versions of transformers differ where max_position_embeddings is not factor times the original: the factor counts, as in 5.
            var factor = section.Has("factor") && section.NumberOrNull("factor") is not null ? Factor() : (double)context / original;
            var (scale, scaleOfAll) = (section.NumberOrNull("mscale"), section.NumberOrNull("mscale_all_dim"));
            double Grown(double by) => factor <= 1 ? 1 : (0.1 * by * Math.Log(factor)) + 1;
            var attention = section.NumberOrNull("attention_factor")
                ?? (scale is { } some && scaleOfAll is { } all ? Grown(some) / Grown(all) : Grown(1));
            return new YarnScaling(
                factor, original, section.Number("beta_fast", 32), section.Number("beta_slow", 1), section.Flag("truncate", true), attention);
        }

        LongRopeScaling Long()
        {
            var original = Original();
            var factor = section.NumberOrNull("factor") ?? (double)context / original;
            var attention = section.NumberOrNull("attention_factor") ?? (factor <= 1 ? 1 : Math.Sqrt(1 + (Math.Log(factor) / Math.Log(original))));
            return new LongRopeScaling(
                section.Numbers("short_factor", width / 2), section.Numbers("long_factor", width / 2), original, attention);
        }
    }

    private static ConfigFile? One(ConfigFile config, ConfigFile? newer, ConfigFile? older) =>
        newer is not null && older is not null
            ? throw config.Error("rope_scaling", "is given, and rope_parameters too: one of them says how positions are rotated")
            : newer ?? older;

    private static double? Same(ConfigFile config, string key, double? outside, double? inside) =>
        outside is { } a && inside is { } b && a != b ? throw config.Error(key, $"is {a}, and {b} in rope_parameters") : inside ?? outside;
}
