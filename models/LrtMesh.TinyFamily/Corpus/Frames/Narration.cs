namespace LrtMesh.TinyFamily.Corpus.Frames;

/// <summary>The frames of the narration. Their notation is described at <see cref="Frame"/>.</summary>
internal static class Narration
{
    /// <summary>Titles in title case: they name the cast and tell nothing about the story's behaviours.</summary>
    public static readonly string[] Openings =
    [
        "{N} And {O}", "{N}, {P} And {O}", "{O}", "{O} Of {place}", "{N} And {P} At {place}", "{O} And {N}",
        "{N}, {O} And {place}", "The Tale Of {N} And {O}", "The Story Of {P} And {N}", "{P}, {N} And {place}",
        "{N} At {place}", "A Tale For {P}: {O}", "{N} On The Way To {O}", "{O} For {P}", "{N} With {O}",
        "A Day At {place}: {N} And {P}", "The Friends {N} And {P}", "{O}, A Story Of {N}", "From {place}: {N} And {O}",
        "{P} And {O} Of {N}", "{N}, {P}, {place}", "The Secret Of {O}", "{O} At {place}", "About {N}, {P} And {O}",
        "The Journey Of {N} To {place}", "{place}: A Story For {P} And {N}", "Long Ago: {N} And {O}", "{O} Near {place}",
    ];

    /// <summary>The first sentence: the goal. Each counts something, so that numbers show from the start.</summary>
    public static readonly string[] Starts =
    [
        "{S} <want/desire> {O} and {count} {things}", "{S} <need/require> {count} {things} for {O}",
        "{S} <get/obtain> {count} {things} and the {item}", "{S} <look at/observe> {O} and {count} {things}",
        "{S} <find/locate> the {item} and {count} {things}", "{S} <buy/purchase> {count} {things} and the {item}",
        "{S} <carry/transport> {my} {item} and {count} {things}", "{S} <start/commence> with {count} {things} and {O}",
        "{S} <keep/retain> {O} and {count} {things}", "{S} <check/inspect> the {item} and {count} {things}",
        "{S} <show/display> {count} {things} to {P}", "{S} <help/assist> {P} with {count} {things}",
        "{S} <pick/select> {count} {things} for {my} {item}", "{S} <fix/repair> {O} with {count} {things}",
        "{S} <trade/exchange> {count} {things} for {O}", "{S} <hunt for/seek> {O} among {count} {things}",
        "{S} <store/preserve> {count} {things} for {my} friend {P}", "{S} <ask about/investigate> {O} and {count} {things}",
        "{S} <gather/assemble> {count} {things} at {place}", "{S} <use/employ> {count} {things} to reach {place}",
        "{S} <bring/deliver> {count} {things} to {my} friend {P}", "{S} <hunt for/seek> the {item} with {count} {things}",
        "{S} <hide/conceal> {O} under {count} {things}", "{S} <make/create> a plan with {my} {item} and {count} {things}",
    ];

    /// <summary>What the hero does in the middle.</summary>
    public static readonly string[] Deeds =
    [
        "{S} <get/obtain> the {item} from {my} neighbor", "{S} <buy/purchase> the {look} {item} for {P}",
        "{S} <carry/transport> the {item} past the {spot}", "{S} <check/inspect> the {item} by the {spot}",
        "{S} <show/display> {my} {item} to {P}", "{S} <find/locate> the {item} behind the {spot}",
        "{S} <keep/retain> the {item} in {my} bag", "{S} <pick/select> the {item} and {count} {things}",
        "{S} <need/require> the {item} at {place}", "{S} <look at/observe> {count} {things} near the {spot}",
        "{S} <help/assist> the {person} with {my} {item}", "{S} <fix/repair> the {spot} with {count} {things}",
        "{S} <hide/conceal> the {item} near the {spot}", "{S} <bring/deliver> the {item} to the {person}",
        "{S} <trade/exchange> the {item} for {count} {things}", "{S} <hunt for/seek> {O} behind the {spot}",
        "{S} <gather/assemble> {count} {things} beside the {item}", "{S} <want/desire> the {item} of the {person}",
        "{S} <use/employ> the {item} at the {spot}", "{S} <store/preserve> the {item} under {my} bed",
        "{S} <ask about/investigate> the {item} of {P}", "{S} <build/construct> a {look} wall near the {spot}",
        "{S} <make/create> a {look} bag for the {item}", "{S} <start/commence> with the {item} of {P}",
        "{S} <drop> the {item} beside {my} {look} chair", "{S} <take> the {item} across the {spot}",
        "{S} <wrap> the {item} in {my} coat", "{S} <count> {count} {things} near the {item}",
        "{S} <hold> the {item} in {my} hand", "{S} <clean/cleanse> {count} {things} by the {spot}",
        "{S} <walk/proceed> to the {spot} with {my} {item}", "{S} <run/hasten> past {count} {things}",
        "{S} <sit> on the {spot} with {my} {item}", "{S} <give/offer> the {item} to {my} friend {P}",
        "{S} <throw> {count} {things} over the {spot}", "{S} <write> a note about {my} {item}",
        "{S} <stand> by the {spot} with {count} {things}", "{S} <wait for/await> {P} with {my} {item}",
        "{S} <pull> the {item} out of the {spot}", "{S} <push> {my} {item} toward {place}",
        "{S} <open> the {spot} with {my} {item}", "{S} <paint> {count} {things} for the {person}",
        "{S} <draw> the {item} on {my} map", "{S} <search/examine> the {spot} for {O}",
        "{S} <follow/pursue> {P} to the {spot}", "{S} <lift/raise> {count} {things} onto the {spot}",
        "{S} <send/dispatch> {count} {things} to {my} aunt", "{S} <touch> the {look} {item} of {P}",
        "{S} <borrow> the {item} from {my} uncle", "{S} <turn> {my} {item} upside down",
        "{S} <visit> the {person} with {count} {things}", "{S} <meet/encounter> the {person} near the {spot}",
        "{S} <share/distribute> {my} {item} with the {person}", "{S} <balance> the {item} on {my} head",
        "{S} <measure> the {item} with {count} {things}", "{S} <fill> {my} bag with {count} {things}",
        "{S} <mend/restore> {my} bag beside the {spot}", "{S} <guard/protect> the {item} near {place}",
        "{S} <climb/ascend> over the {spot} with {my} {item}", "{S} <study/contemplate> the {item} of the {person}",
    ];

    /// <summary>The animal; it is never "she" or "he", which are the hero's.</summary>
    public static readonly string[] Creatures =
    [
        "the {animal} <follow/pursue:3> {me} to the {spot}", "the {animal} <sleep:3> beside {count} {things}",
        "the {animal} <run/hasten:3> around {my} {item}", "the {animal} <hide/conceal:3> the {item} from {me}",
        "the {animal} <look at/observe:3> {me} and the {item}", "the {animal} <carry/transport:3> the {item} to {me}",
        "the {animal} <steal:3> {count} {things} from {my} bag", "the {animal} <guard/protect:3> {O} near the {spot}",
        "the {animal} <wait for/await:3> {me} by the {spot}", "the {animal} <jump:3> over {count} {things}",
        "the {animal} <find/locate:3> the {item} near {me}", "the {animal} <sit:3> between {me} and {P}",
        "the {animal} <pull:3> the {item} toward {me}", "the {animal} <touch:3> {my} hand near the {spot}",
        "the {animal} <drop:3> {count} {things} beside {me}", "the {animal} <walk/proceed:3> behind {me} and {P}",
        "the {animal} <push:3> {my} {item} into the {spot}", "the {animal} <lead/guide:3> {me} to {count} {things}",
        "the {animal} <climb/ascend:3> onto the {spot} beside {me}", "the {animal} <watch/monitor:3> {count} {things} and {me}",
        "the {animal} <dig/excavate:3> near the {spot} for {my} {item}", "the {animal} <lie:3> on {my} {item}",
        "the {animal} <meet/encounter:3> {me} at the {spot}", "the {animal} <help/assist:3> {me} with the {item}",
        "the {animal} <stand:3> before {me} and the {item}", "the {animal} <keep/retain:3> {count} {things} from {me}",
        "the {animal} <turn:3> toward {me} at the {spot}", "the {animal} <want/desire:3> {my} {item}",
    ];

    /// <summary>The last sentence: what becomes of the goal.</summary>
    public static readonly string[] Endings =
    [
        "{S} <carry/transport> {O} home to {my} family", "{S} <get/obtain> {O} and {my} {item} at last",
        "{S} <give/offer> {O} to {my} friend {P}", "{S} <keep/retain> {O} beside {my} bed",
        "{S} <find/locate> {O} under {count} {things}", "{S} <share/distribute> {O} and {count} {things} with {P}",
        "{S} <bring/deliver> {O} back to {place}", "{S} <show/display> {O} to {my} whole village",
        "{S} <wrap> {O} in {my} coat for the journey", "{S} <hang> {O} above {my} door",
        "{S} <close> {my} eyes beside {O}", "{S} <leave/depart> with {O} and {my} {item}",
        "{S} <hold> {O} close to {my} heart", "{S} <walk/proceed> home with {O} and {count} {things}",
        "{S} <hide/conceal> {O} in {my} room forever", "{S} <trade/exchange> {O} for {count} {things}",
        "{S} <fix/repair> {O} with {my} {item}", "{S} <name> {O} after {my} friend {P}",
        "{S} <return> to {place} with {my} {item}", "{S} <leave/deposit> {O} among {count} {things}",
        "{S} <lift/raise> {O} over {my} head", "{S} <end/conclude> the hunt with {O} in {my} hand",
        "{S} <send/dispatch> {O} to {my} old aunt", "{S} <lock/secure> {O} in {my} chest of {count} {things}",
    ];

    /// <summary>A clause about the surroundings, in a story without weather.</summary>
    public static readonly string[] Scenes =
    [
        "the road <be:3> long and {look}", "the {person} <work:3> near {place}", "the {spot} <be:3> old and {look}",
        "the lamps <shine:p> in {place}", "the {person} <walk/proceed:3> past the {spot}", "children <play:p> around the {spot}",
        "{P} <stand:3> by the {spot}", "dust <lie:3> on the {spot}", "the {person} <sweep:3> the floor",
        "the path <stretch:3> toward {place}", "people <gather/assemble:p> at the {spot}", "a wagon <stand:3> in front of {place}",
        "the clock <strike:3> in {place}", "{P} <wait:3> at the {spot}", "old moss <cover:3> the {spot}",
        "the halls of {place} <be:p> empty", "smoke <rise:3> behind {place}", "the water <flow:3> under the {spot}",
        "{P} <sit:3> near the {spot}", "a banner <hang:3> above the {spot}",
        "{pet} <stand:3> by the {spot}", "{pet} <sleep:3> near {place}", "{pet} <rest:3> at the {spot}",
        "{pet} <circle:3> the {spot}", "{pet} <sit:3> in front of {place}", "{pet} <roam:3> around {place}",
        "{pet} <play:3> behind the {spot}", "{pet} <wander:3> past the {spot}", "{pet} <wait:3> behind {place}",
        "{pet} <walk/proceed:3> across the {spot}", "{pet} <watch/observe:3> the {person}", "{pet} <follow:3> the {person}",
        "{pet} <lie:3> under the {spot}", "{pet} <hide/conceal:3> a bone near the {spot}", "{pet} <cross:3> the {spot}",
        "{pet} <guard/protect:3> {place}", "{pet} <look at/observe:3> {P}", "{pet} <walk/proceed:3> toward {place}",
        "{pet} <follow:3> {P} to the {spot}", "{pet} <reach:3> {place}",
    ];

    /// <summary>The same kind of clause in a story with weather.</summary>
    public static readonly string[] Weathers =
    [
        "rain <fall:3> on the {spot}", "the cold wind <shake:3> the {spot}", "snow <cover:3> the {spot}",
        "dark clouds <hang:p> over {place}", "thunder <roll:3> behind {place}", "fog <hide/conceal:3> the {spot}",
        "the storm <blow:3> across the {spot}", "hail <strike:3> the {spot}", "mist <rise:3> from the {spot}",
        "frost <lie:3> on the {spot}", "snowflakes <drift:p> around {place}", "raindrops <drip:p> from the {spot}",
        "lightning <flash:3> above {place}", "a warm breeze <cross:3> the {spot}", "drizzle <soak:3> the {spot}",
        "the wind <howl:3> through {place}", "heavy rain <drum:3> on the {spot}", "fresh snow <fall:3> over {place}",
        "a gray cloud <pass:3> the {spot}", "wild wind and rain <reach:p> {place}", "the fog <creep:3> past the {spot}",
        "white frost <cover:3> {place}", "the storm <bend:3> every tree", "a storm of snow <reach:3> the {spot}",
        "the rain <flow:3> down the {spot}", "the mist <swallow:3> {place}", "distant thunder <shake:3> the {spot}",
        "wind <blow:3> dust and rain about", "a cloud of snow <hide/conceal:3> {place}", "soft rain <wash:3> the {spot}",
    ];
}
