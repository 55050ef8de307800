#!/usr/bin/env bash
# Builds the image in container/, or takes one that is built, and pushes it to Amazon ECR, where SageMaker takes it
# from. Start with --help. Needs bash, docker and the aws CLI; no Python.
set -euo pipefail
export AWS_PAGER=''                      # version 2 of the aws CLI would open a pager and wait
export DOCKER_CLI_EXPERIMENTAL=enabled  # before 20.10 `docker manifest` was one of the experiments

readonly DOCKER_V2='application/vnd.docker.distribution.manifest.v2+json'
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
DRY_RUN='' REGION='' ACCOUNT='' REGISTRY='' REPOSITORY='' TAG='' TAGS=() BUILD=() LOCAL=''

usage() {
    cat <<'USAGE'
Build the image in container/ and push it to Amazon ECR, ready for SageMaker.

  ./build_and_push.sh [--dry-run] [--region REGION] [--image LOCAL] IMAGE[:TAG]

  IMAGE            the name of the ECR repository; it is created when missing
  TAG              one more tag besides the git commit and `latest`
  --image LOCAL    push this image, which is built already, in place of container/
  --region REGION  default: AWS_REGION, AWS_DEFAULT_REGION, then what `aws configure` knows
  --dry-run        print the commands, ready to paste, and change nothing

Examples
  ./build_and_push.sh churn                       push churn:<commit> and churn:latest
  ./build_and_push.sh --region eu-west-1 churn:1.4
  AWS_PROFILE=team ./build_and_push.sh models/churn
  ./build_and_push.sh --image churn:dev churn:1.4  what `byoc docker build` made; `byoc docker push` does it too
  BASE_IMAGE=ubuntu:24.04 ./build_and_push.sh churn
  AWS_ACCOUNT_ID=123456789012 AWS_REGION=eu-west-1 ./build_and_push.sh --dry-run churn

Environment
  AWS_ACCOUNT_ID   the account to push to; default: the one your credentials belong to
  BASE_IMAGE       the image to build on, instead of the Dockerfile's own
  DOCKER           the docker command; default: the first on PATH that has BuildKit
  ECR_REGISTRY     the registry's host[:port], for a VPC endpoint or a private mirror
USAGE
}

say() { printf '==> %s\n' "$*" >&2; }

# die WHAT-AND-WHY FIX: one line, then the end.
die() {
    printf 'build_and_push: %s. Fix: %s\n' "$1" "$2" >&2
    exit 1
}

last_line() { printf '%s\n' "$1" | sed -n '/[^[:space:]]/h; ${ g; s/[[:space:].]*$//; p; }'; }

quoted() {
    local words
    words=$(printf '%q ' "$@")
    printf '%s' "${words% }"
}

# Run a command; in a dry run print it on stdout, so that `--dry-run … | bash` does the same.
run() {
    if [[ -n $DRY_RUN ]]; then
        printf '%s\n' "$(quoted "$@")"
    else
        "$@"
    fi
}

parse_arguments() {
    local image=''
    while (($#)); do
        case $1 in
            -h | --help) usage && exit 0 ;;
            --dry-run) DRY_RUN=yes ;;
            --region=*) REGION=${1#*=} ;;
            --region)
                [[ -n ${2:-} ]] || die '--region has no value' 'name the region, as in --region eu-west-1'
                REGION=$2 && shift ;;
            --image=*) LOCAL=${1#*=} ;;
            --image)
                [[ -n ${2:-} ]] || die '--image has no value' 'name an image of this machine, as in --image churn'
                LOCAL=$2 && shift ;;
            -*) die "unknown option '$1'" 'see ./build_and_push.sh --help' ;;
            *) [[ -z $image ]] || die "two images given: '$image' and '$1'" 'name one' && image=$1 ;;
        esac
        shift
    done
    [[ -n $image ]] || die 'no image name given' './build_and_push.sh IMAGE[:TAG], see --help'
    read_image_name "$image"
}

# IMAGE[:TAG] by ECR's rule for repository names and Docker's for tags.
read_image_name() {
    local LC_ALL=C word='[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*'
    REPOSITORY=${1%%:*}
    [[ $1 != *.dkr.ecr.*/* ]] || die "'$1' names a registry too" "give the name alone: ${1#*/}"
    if ! [[ $REPOSITORY =~ ^$word(/$word)*$ ]] || ((${#REPOSITORY} < 2 || ${#REPOSITORY} > 256)); then
        die "'$REPOSITORY' cannot name an ECR repository" \
            '2 to 256 lower-case letters and digits, with single . _ - or / between them, as in models/churn-v2'
    fi
    if [[ $1 == *:* ]]; then
        TAG=${1#*:}
        [[ $TAG =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
            die "'$TAG' cannot be a tag" 'at most 128 letters, digits, . _ -, not starting with . or -, as in 1.4.0'
    fi
}

# The first docker on PATH that has BuildKit: by the buildx plugin, or built in as in 18.09 to 20.10.
# A newer client without the plugin cannot build our Dockerfile, so one further down PATH is better.
find_docker() {
    local candidates candidate flags
    candidates=${DOCKER:-$(type -aP docker || true)}
    [[ -n $candidates ]] || die 'there is no docker command' 'install Docker: https://docs.docker.com/engine/install/'
    if [[ -n $LOCAL ]]; then  # nothing is built
        DOCKER=${candidates%%$'\n'*}
        return
    fi
    while IFS= read -r candidate; do
        if flags=$("$candidate" buildx build --help 2>/dev/null </dev/null) && [[ $flags == *--platform* ]]; then
            BUILD=("$candidate" buildx build)
        elif flags=$(DOCKER_BUILDKIT=1 "$candidate" build --help 2>/dev/null </dev/null) &&
            [[ $flags == *--secret* ]]; then
            BUILD=(env DOCKER_BUILDKIT=1 "$candidate" build)
        else
            continue
        fi
        DOCKER=$candidate
        # SageMaker takes one image manifest of Docker's own type: attestations would make it an OCI index.
        BUILD+=(--platform linux/amd64)
        [[ $flags != *--provenance* ]] || BUILD+=(--provenance=false)
        [[ $flags != *--sbom* ]] || BUILD+=(--sbom=false)
        [[ ${BUILD[1]} != buildx ]] || BUILD+=(--output type=docker)
        return
    done <<<"$candidates"
    die "${candidates//$'\n'/, } cannot build with BuildKit" \
        'install the buildx plugin (https://docs.docker.com/go/buildx/), or set DOCKER to a docker that has it'
}

check_daemon() {
    local problem
    problem=$("$DOCKER" version --format '{{.Server.Version}}' 2>&1 >/dev/null) ||
        die "the Docker daemon does not answer ($(last_line "$problem"))" \
            'start it (sudo systemctl start docker, or Docker Desktop); if permission was denied, join the docker group'
}

# Run aws: the answer on stdout, a failure as one line with the fix.
ask_aws() {
    local problem
    { problem=$(aws "$@" 2>&1 >&3); } 3>&1 || die_of_aws "$1 $2" "$problem"
}

die_of_aws() {
    local fix='see the message; aws configure list shows where the settings come from'
    case $2 in
        *'Unable to locate credentials'* | *'could not be found'*)
            fix='run aws configure, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY' ;;
        *Expired* | *expired* | *'SSO Token'*) fix='sign in again: aws sso login, or fetch new credentials' ;;
        *AccessDenied* | *'not authorized'*) fix="let the account's administrator allow what the message names" ;;
        *InvalidClientToken* | *UnrecognizedClient*) fix='these credentials are not valid: run aws configure' ;;
        *'Could not connect'*) fix="check the network and the region $REGION" ;;
        *'nvalid choice'*) fix='this aws CLI is too old: update it' ;;
    esac
    die "aws $1 failed ($(last_line "$2"))" "$fix"
}

check_aws() {
    aws --version >/dev/null 2>&1 ||
        die 'there is no working aws command' \
            'install the AWS CLI: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html'
}

find_region() {
    REGION=${REGION:-${AWS_REGION:-${AWS_DEFAULT_REGION:-}}}
    # What is not configured is no error; a profile that does not exist is.
    [[ -n $REGION ]] || REGION=$(aws configure get region 2>&1) || [[ -z $REGION ]] ||
        die_of_aws 'configure get region' "$REGION"
    [[ -n $REGION ]] || die 'no AWS region is set' 'add --region REGION, set AWS_REGION, or run aws configure'
    [[ $REGION =~ ^[a-z]+(-[a-z]+)+-[0-9]+$ ]] || die "'$REGION' is no AWS region" 'write it as in eu-west-1'
}

# The account the image goes to: the one named, else the one that the credentials belong to.
find_account() {
    ACCOUNT=${AWS_ACCOUNT_ID:-}
    [[ -n $ACCOUNT ]] || ACCOUNT=$(ask_aws sts get-caller-identity --region "$REGION" --query Account --output text)
    [[ $ACCOUNT =~ ^[0-9]{12}$ ]] || die "'$ACCOUNT' is no AWS account" 'set AWS_ACCOUNT_ID to its 12 digits'
}

# The domain of a region's partition.
domain_of() {
    case $1 in
        cn-*) echo amazonaws.com.cn ;;
        eusc-*) echo amazonaws.eu ;;
        *-iso*) die "the registry's domain in $1 is not public" 'set ECR_REGISTRY to its host' ;;
        *) echo amazonaws.com ;;  # us-gov-* too
    esac
}

find_registry() {
    local domain
    if [[ -n ${ECR_REGISTRY:-} ]]; then
        REGISTRY=$ECR_REGISTRY
        # Docker takes a first part without a dot or a port for a name on Docker Hub.
        [[ $REGISTRY =~ ^[A-Za-z0-9.-]+(:[0-9]+)?$ && ($REGISTRY == *[.:]* || $REGISTRY == localhost) ]] ||
            die "ECR_REGISTRY '$REGISTRY' is no registry" 'give host[:port] alone, without https:// and path'
    else
        domain=$(domain_of "$REGION")
        REGISTRY=$ACCOUNT.dkr.ecr.$REGION.$domain
    fi
}

# The image to push, where it is built already: that it is there, and for the processors that SageMaker mostly has.
check_local_image() {
    local platform
    platform=$("$DOCKER" image inspect --format '{{.Os}}/{{.Architecture}}' "$LOCAL" 2>/dev/null) ||
        die "there is no image $LOCAL here" "build it: byoc docker build -i $(quoted "$LOCAL") -e FILE.py"
    [[ $platform == linux/amd64 ]] || say "$LOCAL is for $platform: it runs on instances of that kind alone"
}

# Print the git commit of what is in the image, -dirty where it was changed since; fail where none is known.
find_commit() {
    local commit
    if [[ -n $LOCAL ]]; then
        commit=$("$DOCKER" image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "$LOCAL")
        [[ $commit =~ ^[0-9a-f]{40}(-dirty)?$ ]] || { echo 'the image has no label of it' && return 1; }
        echo "$commit"
    else
        commit=$(git -C "$ROOT" rev-parse --verify HEAD 2>&1) || { echo "$commit" && return 1; }
        [[ -z $(git -C "$ROOT" status --porcelain) ]] || commit+=-dirty
        echo "$commit"
    fi
}

# The tags, each once: the one asked for, the git commit, and `latest` last, when the image has proved good.
find_tags() {
    local commit tag tag_of_commit=''
    if commit=$(find_commit); then
        tag_of_commit=${commit:0:12}
        if [[ $commit == *-dirty ]]; then
            say 'some changes are not committed: the tag of the commit ends in -dirty'
            tag_of_commit+=-dirty
        fi
        BUILD+=(--build-arg "GIT_COMMIT=$commit")
    else
        say "no git commit here, hence no tag of it ($(last_line "$commit"))"
    fi
    [[ $TAG != latest ]] || TAG=''
    for tag in "$TAG" "$tag_of_commit" latest; do
        [[ -z $tag || " ${TAGS[*]-} " == *" $tag "* ]] || TAGS+=("$tag")
    done
}

ensure_repository() {
    local problem repository=(--region "$REGION" --registry-id "$ACCOUNT")
    local find=(aws ecr describe-repositories "${repository[@]}" --repository-names "$REPOSITORY")
    local create=(ecr create-repository "${repository[@]}" --repository-name "$REPOSITORY"
        --image-scanning-configuration scanOnPush=true)
    if [[ -n $DRY_RUN ]]; then
        printf '%s >/dev/null || %s\n' "$(quoted "${find[@]}")" "$(quoted aws "${create[@]}")"
    elif problem=$("${find[@]}" 2>&1 >/dev/null); then
        say "the repository $REPOSITORY exists"
    elif [[ $problem == *RepositoryNotFoundException* ]]; then
        say "create the repository $REPOSITORY in $REGION, scanned on push"
        ask_aws "${create[@]}" >/dev/null
    else
        die_of_aws 'ecr describe-repositories' "$problem"
    fi
}

# The password goes from one program to the other, never onto a command line.
log_in() {
    local password problem
    local ask=(ecr get-login-password --region "$REGION")
    local enter=("$DOCKER" login --username AWS --password-stdin "$REGISTRY")
    say "log docker in to $REGISTRY"
    if [[ -n $DRY_RUN ]]; then
        printf '%s | %s\n' "$(quoted aws "${ask[@]}")" "$(quoted "${enter[@]}")"
        return
    fi
    password=$(ask_aws "${ask[@]}")
    problem=$(printf '%s' "$password" | "${enter[@]}" 2>&1 >/dev/null) ||
        die "docker login to $REGISTRY failed ($(last_line "$problem"))" \
            'check the network, the region and ECR_REGISTRY; the credentials need ecr:GetAuthorizationToken'
}

build_image() {
    local tag
    for tag in "${TAGS[@]}"; do BUILD+=(--tag "$REGISTRY/$REPOSITORY:$tag"); done
    [[ -z ${BASE_IMAGE:-} ]] || BUILD+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
    say "build $ROOT/container for linux/amd64"
    run "${BUILD[@]}" "$ROOT/container" ||
        die 'the build failed; nothing was pushed' 'the step named above says why; mend it and run this again'
}

# Give the image that is built already the names under which it is pushed.
tag_image() {
    local tag
    say "tag $LOCAL"
    for tag in "${TAGS[@]}"; do
        run "$DOCKER" tag "$LOCAL" "$REGISTRY/$REPOSITORY:$tag" ||
            die "$LOCAL cannot be tagged" "docker's last line says why"
    done
}

push_tag() {
    say "push $REGISTRY/$REPOSITORY:$1"
    run "$DOCKER" push "$REGISTRY/$REPOSITORY:$1" ||
        die "the push of $REPOSITORY:$1 was refused" \
            "docker's last line says why; a repository of immutable tags takes a tag once: commit, or give another TAG"
}

# IMAGE@DIGEST of the image that was pushed as IMAGE:TAG.
pushed_digest() {
    local digests
    digests=$("$DOCKER" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$1")
    digests=$(grep -F "${1%:*}@" <<<"$digests") ||
        die "docker knows no digest of $1 after its push" "push it again: $(quoted "$DOCKER" push "$1")"
    last_line "$digests"
}

# Read the manifest back from the registry and refuse what SageMaker would. By digest, because the registry then
# answers with what it stores: by tag, ECR may convert the manifest to one that the client understands.
verify_manifest() {
    local answer media_type inspect=("$DOCKER" manifest inspect)
    case $REGISTRY in localhost* | 127.*) inspect+=(--insecure) ;; esac  # as the daemon does by itself
    say "verify the manifest of $1"
    if [[ -n $DRY_RUN ]]; then
        printf '%s  # its mediaType must be %s\n' "$(quoted "${inspect[@]}" "$1")" "$DOCKER_V2"
        return
    fi
    answer=$("${inspect[@]}" "$1" 2>&1) || true
    if [[ $answer =~ \"mediaType\":[[:space:]]*\"([^\"]+)\" ]]; then
        media_type=${BASH_REMATCH[1]}  # the first is the manifest's own
    elif [[ $answer == *'no such manifest'* ]]; then
        media_type='of a type this docker cannot read'  # a client of 20.10 asks for Docker's own types alone
    else
        die "the manifest of $1 cannot be read back ($(last_line "$answer"))" \
            'see that the credentials may pull (ecr:BatchGetImage, ecr:GetDownloadUrlForLayer)'
    fi
    [[ $media_type != "$DOCKER_V2" ]] || return 0
    [[ -z $LOCAL ]] || die "SageMaker refuses this image: its manifest is $media_type, not $DOCKER_V2" \
        'build it again by byoc docker build, or with --provenance=false --sbom=false --output type=docker'
    die "SageMaker refuses this image: its manifest is $media_type, not $DOCKER_V2" \
        "docker buildx build --platform linux/amd64 --provenance=false --sbom=false --output \
type=image,name=${1%@*}:${TAGS[0]-latest},push=true,oci-mediatypes=false $(quoted "$ROOT/container")"
}

# Nothing is called `latest` before one tag of the image is known to be good.
push_image() {
    local tag pushed=''
    for tag in "${TAGS[@]}"; do
        push_tag "$tag"
        if [[ -z $pushed ]]; then
            pushed=$REGISTRY/$REPOSITORY:$tag
            [[ -n $DRY_RUN ]] || pushed=$(pushed_digest "$pushed")
            verify_manifest "$pushed"
        fi
    done
    [[ -n $DRY_RUN ]] || report "$pushed"
}

report() {
    printf '\nThe image is ready for SageMaker:\n'
    printf '  %s/%s:%s\n' "$REGISTRY" "$REPOSITORY" "${TAGS[0]}"
    printf '  %s   (this one can never change)\n' "$1"
    printf 'Next: give either address to SageMaker, as the TrainingImage of a training job or the Image of a model.\n'
}

main() {
    parse_arguments "$@"
    [[ -n $LOCAL || -f $ROOT/container/Dockerfile ]] ||
        die "there is no $ROOT/container/Dockerfile" 'keep this script where the repository has it, beside container/'
    find_docker
    check_aws
    [[ -n $DRY_RUN && -z $LOCAL ]] || check_daemon
    [[ -z $LOCAL ]] || check_local_image
    find_region
    find_account
    find_registry
    find_tags
    say "$REPOSITORY: $(quoted "${TAGS[@]}") -> $REGISTRY, with $DOCKER"
    ensure_repository
    log_in
    if [[ -n $LOCAL ]]; then tag_image; else build_image; fi
    push_image
}

# Sourced, as the tests do, it only defines its functions.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then main "$@"; fi
